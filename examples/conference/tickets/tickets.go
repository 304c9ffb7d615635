// Package tickets issues signed tickets, and checks them at the door. It stores nothing.
package tickets

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
)

var router = routes()

// Handle serves POST / with {"email": …}, and GET /<ticket>.
func Handle(w http.ResponseWriter, r *http.Request) {
	router.ServeHTTP(w, r)
}

func routes() http.Handler {
	router := chi.NewRouter()
	router.Post("/", issue)
	router.Get("/{ticket}", check)
	return router
}

func issue(w http.ResponseWriter, r *http.Request) {
	var guest struct{ Email string }
	if err := json.NewDecoder(r.Body).Decode(&guest); err != nil || !strings.Contains(guest.Email, "@") {
		answer(w, http.StatusUnprocessableEntity, map[string]any{"error": "expected an email"})
		return
	}
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte("mailto:"+guest.Email)).String()
	answer(w, http.StatusCreated, map[string]any{"ticket": id + "." + sign(id)})
}

func check(w http.ResponseWriter, r *http.Request) {
	id, signature, _ := strings.Cut(chi.URLParam(r, "ticket"), ".")
	if _, err := uuid.Parse(id); err != nil || !hmac.Equal([]byte(signature), []byte(sign(id))) {
		answer(w, http.StatusNotFound, map[string]any{"valid": false})
		return
	}
	answer(w, http.StatusOK, map[string]any{"valid": true, "id": id})
}

func sign(id string) string {
	code := hmac.New(sha256.New, []byte(os.Getenv("TICKET_KEY")))
	code.Write([]byte(id))
	return base64.RawURLEncoding.EncodeToString(code.Sum(nil))
}

func answer(w http.ResponseWriter, status int, document map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(document)
}
