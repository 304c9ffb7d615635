// Package worker serves one function inside the function's own process.
//
// The platform connects it by a stream socket, whose descriptor FNKIT_WORKER_FD names, and sends one request at a
// time: POST / HTTP/1.1, whose body is the request for the handler as a message of HTTP/1.1. It uses the standard
// library alone, and no syntax after Go 1.13: it is compiled as a part of the function's module.
package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

const (
	descriptorVariable = "FNKIT_WORKER_FD"
	nonceHeader        = "fnkit-request"
)

// Serve calls the handler for each request, until the platform closes the socket.
func Serve(handler func(http.ResponseWriter, *http.Request)) {
	descriptor, err := strconv.Atoi(os.Getenv(descriptorVariable))
	if err != nil {
		fail(errors.New(descriptorVariable + " names no descriptor: this program is started by the platform"))
	}
	os.Unsetenv(descriptorVariable)
	syscall.CloseOnExec(descriptor)
	socket := os.NewFile(uintptr(descriptor), "platform")
	if _, err := io.WriteString(socket, "{\"ready\": true}\n"); err != nil {
		fail(err)
	}
	reader := bufio.NewReaderSize(socket, 64*1024)
	for {
		nonce, body, err := readEnvelope(reader)
		if err == io.EOF {
			return
		}
		if err != nil {
			fail(err)
		}
		if _, err := socket.Write(answer(handler, nonce, body)); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "fnkit:", err)
	os.Exit(1)
}

// readEnvelope returns the nonce and the body of the platform's next request; io.EOF if there is none.
func readEnvelope(reader *bufio.Reader) (string, []byte, error) {
	nonce, length := "", -1
	for number := 0; ; number++ {
		line, err := reader.ReadString('\n')
		if err == io.EOF && (number > 0 || line != "") {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return "", nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		if number > 0 && line == "" {
			break
		}
		colon := strings.IndexByte(line, ':')
		if number == 0 || colon < 0 {
			continue
		}
		value := strings.TrimSpace(line[colon+1:])
		switch line[:colon] {
		case nonceHeader:
			nonce = value
		case "content-length":
			if length, err = strconv.Atoi(value); err != nil {
				return "", nil, err
			}
		}
	}
	if length < 0 {
		return "", nil, errors.New("a request of the platform has no content-length")
	}
	body := make([]byte, length)
	_, err := io.ReadFull(reader, body)
	return nonce, body, err
}

// answer calls the handler and returns the encoded response.
func answer(handler func(http.ResponseWriter, *http.Request), nonce string, message []byte) []byte {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	request, err := parseRequest(ctx, message)
	if err != nil {
		fail(err)
	}
	response := newResponse()
	if call(handler, response, request) {
		return encodePanic(nonce)
	}
	return response.encode(nonce)
}

// call returns whether the handler panicked. It has a goroutine of its own, because it may end it.
func call(handler func(http.ResponseWriter, *http.Request), response *response, request *http.Request) bool {
	done := make(chan bool)
	go func() {
		panicked := true
		defer func() {
			if panicked {
				report(recover())
			}
			done <- panicked
		}()
		handler(response, request)
		panicked = false
	}()
	return <-done
}

// report writes a panic with its stack to the log, as net/http does.
func report(value interface{}) {
	if value != http.ErrAbortHandler {
		fmt.Fprintf(os.Stderr, "http: panic serving the request: %v\n%s", value, debug.Stack())
	}
}
