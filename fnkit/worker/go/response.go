package worker

import (
	"bytes"
	"fmt"
	"log"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// What the core runtime of the real platform answers when a handler panics.
const panicBody = `Post "http://127.0.0.1:8081/": EOF`

var lineBreaks = strings.NewReplacer("\n", " ", "\r", " ")

// Headers that concern one connection only; the platform decides on them.
var connectionHeaders = map[string]bool{
	"connection": true, "content-length": true, "keep-alive": true, "proxy-connection": true, "te": true,
	"trailer": true, "transfer-encoding": true, "upgrade": true,
}

// response collects what a handler writes. It implements http.ResponseWriter and http.Flusher.
type response struct {
	mutex  sync.Mutex // handlers may leave goroutines behind
	header http.Header
	sent   http.Header // the header when the status was written; later changes do not count
	status int
	body   bytes.Buffer
}

func newResponse() *response { return &response{header: http.Header{}} }

// Header returns the headers, which the handler changes.
func (r *response) Header() http.Header { return r.header }

// WriteHeader sets the status, as net/http does.
func (r *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		return // informational: the final status follows
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.status != 0 {
		log.Print("http: superfluous response.WriteHeader call")
		return
	}
	r.setStatus(status)
}

func (r *response) setStatus(status int) {
	r.status = status
	r.sent = r.header.Clone()
}

// Write appends to the body.
func (r *response) Write(data []byte) (int, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.status == 0 {
		r.setStatus(http.StatusOK)
	}
	if r.status == http.StatusNoContent || r.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	return r.body.Write(data)
}

// WriteString appends to the body.
func (r *response) WriteString(text string) (int, error) { return r.Write([]byte(text)) }

// Flush does nothing but set the status: responses are sent whole.
func (r *response) Flush() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.status == 0 {
		r.setStatus(http.StatusOK)
	}
}

// encode returns the response for the platform.
func (r *response) encode(nonce string) []byte {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.status == 0 {
		r.setStatus(http.StatusOK)
	}
	r.detectType()
	names := make([]string, 0, len(r.sent))
	for name := range r.sent {
		if isToken(name) && !isPrivate(name) {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	var head bytes.Buffer
	for _, name := range names {
		for _, value := range r.sent[name] {
			head.WriteString(name + ": " + strings.TrimSpace(lineBreaks.Replace(value)) + "\r\n")
		}
	}
	return encode(r.status, head.Bytes(), r.body.Bytes(), nonce)
}

// detectType adds the Content-Type that net/http would: the platform sees the body of a structure only.
func (r *response) detectType() {
	_, hasType := r.sent["Content-Type"]
	if !hasType && r.sent.Get("Content-Encoding") == "" && r.body.Len() > 0 {
		r.sent.Set("Content-Type", http.DetectContentType(r.body.Bytes()))
	}
}

func encodePanic(nonce string) []byte {
	head := []byte("fnkit-handler-panicked: 1\r\n")
	return encode(http.StatusInternalServerError, head, []byte(panicBody), nonce)
}

func encode(status int, head, body []byte, nonce string) []byte {
	var message bytes.Buffer
	message.Grow(len(head) + len(body) + 128)
	message.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " \r\n")
	message.Write(head)
	message.WriteString("content-length: " + strconv.Itoa(len(body)) + "\r\n" + nonceHeader + ": " + nonce + "\r\n\r\n")
	message.Write(body)
	return message.Bytes()
}

func isPrivate(name string) bool {
	lower := strings.ToLower(name)
	return connectionHeaders[lower] || strings.HasPrefix(lower, "fnkit-")
}

// isToken returns whether a name is one of a header field (RFC 9110, 5.6.2).
func isToken(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		isAlphanumeric := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !isAlphanumeric && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}
