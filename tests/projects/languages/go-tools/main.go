package handler

import (
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/uuid"
)

// Handle writes the status and a header after the body, as some do.
func Handle(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	n, err := strconv.Atoi(string(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusOK)
		return
	}
	var f big.Int
	f.MulRange(1, int64(n))
	fmt.Printf("go: factorial of %d is %s\n", n, f.String())
	io.WriteString(w, f.String())
	w.WriteHeader(http.StatusAccepted)
	w.Header().Set("Content-Type", "text/markdown")
}

// Upload keeps an uploaded file in the temporary directory for a moment.
func Upload(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseMultipartForm(32 << 20); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	header := r.MultipartForm.File["data"][0]
	file, err := header.Open()
	if err != nil {
		panic(err)
	}
	content, err := io.ReadAll(file)
	if err != nil {
		panic(err)
	}
	path := filepath.Join(os.TempDir(), uuid.NewString()+header.Filename)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		panic(err)
	}
	defer os.Remove(path)
	written, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(w, "%s has %d bytes", header.Filename, len(written))
}
