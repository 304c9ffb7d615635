// Package hostile does what a request asks it to: see tests/support/hostile_languages.py.
package hostile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

var calls int

var kept [][]byte

func read(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, 65536))
	runes := make([]rune, len(content))
	for index, one := range content {
		runes[index] = rune(one)
	}
	return string(runes), err
}

func list(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, err
}

func links() []string {
	found := []string{}
	names, _ := filepath.Glob("/proc/self/fd/*")
	for _, name := range names {
		if target, err := os.Readlink(name); err == nil {
			found = append(found, filepath.Base(name)+" "+target)
		}
	}
	return found
}

func environment() map[string]string {
	found := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		found[name] = value
	}
	return found
}

func descriptors(count int) int {
	opened := []*os.File{}
	for len(opened) < count {
		file, err := os.Open("/dev/null")
		if err != nil {
			break
		}
		opened = append(opened, file)
	}
	for _, file := range opened {
		file.Close()
	}
	return len(opened)
}

func processes(count int) int {
	started := []*exec.Cmd{}
	for len(started) < count {
		command := exec.Command("sleep", "300")
		if command.Start() != nil {
			break
		}
		started = append(started, command)
	}
	for _, command := range started {
		command.Process.Kill()
		command.Wait()
	}
	return len(started)
}

func fill(path string, size int) (int, error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	block := make([]byte, 1<<20)
	for written := 0; written < size; written++ {
		if _, err := file.Write(block); err != nil {
			return written, nil
		}
	}
	return size, nil
}

func allocate() {
	for {
		block := make([]byte, 1<<20)
		for index := range block {
			block[index] = 'x'
		}
		kept = append(kept, block)
	}
}

func act(action, path string, count int) (interface{}, error) {
	switch action {
	case "read":
		return read(path)
	case "list":
		return list(path)
	case "write":
		return nil, os.WriteFile(path, []byte("x"), 0o644)
	case "make":
		return nil, os.Mkdir(path, 0o755)
	case "remove":
		return nil, os.Remove(path)
	case "rename":
		return nil, os.Rename(path, path+".renamed")
	case "connect":
		_, err := net.DialTimeout("unix", path, 2*time.Second)
		return nil, err
	case "kill":
		return nil, syscall.Kill(count, 0)
	case "environment":
		return environment(), nil
	case "links":
		return links(), nil
	case "shell":
		output, err := exec.Command("sh", "-c", path).Output()
		return string(output), err
	case "descriptors":
		return descriptors(count), nil
	case "processes":
		return processes(count), nil
	case "fill":
		return fill(path, count)
	case "stack":
		return string(debug.Stack()), nil
	case "hour":
		return time.Unix(0, 0).Hour(), nil
	case "exit":
		os.Exit(3)
	case "crash":
		*(*byte)(unsafe.Pointer(uintptr(0x10000000))) = 1
	case "count":
		calls++
		return calls, nil
	case "allocate":
		allocate()
	case "print":
		for {
			fmt.Println(strings.Repeat("x", 60))
		}
	case "loop":
		for {
		}
	case "line":
		fmt.Println("line of " + path)
		return nil, nil
	}
	return nil, errors.New("no such action")
}

// Handle answers with {"ok": value} or {"error": text}.
func Handle(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	count, _ := strconv.Atoi(query.Get("count"))
	action := strings.TrimPrefix(r.URL.Path, "/")
	if action == "fail" {
		panic("asked to fail")
	}
	if action == "huge" {
		io.WriteString(w, strings.Repeat("x", count<<20))
		return
	}
	answer := map[string]interface{}{}
	value, err := act(action, query.Get("path"), count)
	if err != nil {
		answer["error"] = err.Error()
	} else {
		answer["ok"] = value
	}
	json.NewEncoder(w).Encode(answer)
}
