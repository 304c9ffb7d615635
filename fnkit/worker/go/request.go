package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// The address of the core runtime on the real platform, which calls the handler there.
const remoteAddress = "127.0.0.1:8080"

// parseRequest returns the request in a message of HTTP/1.1. Everything after the blank line is its body.
func parseRequest(ctx context.Context, message []byte) (*http.Request, error) {
	source := bytes.NewReader(message)
	reader := bufio.NewReader(source)
	text := textproto.NewReader(reader)
	line, err := text.ReadLine()
	if err != nil {
		return nil, err
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 {
		return nil, errors.New("malformed request line of the platform")
	}
	target, err := url.ParseRequestURI(parts[1])
	if err != nil {
		return nil, err
	}
	target.RawPath = "" // empty on the real platform
	header, err := text.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	host := header.Get("Host")
	header.Del("Host")
	length := reader.Buffered() + source.Len()
	request := &http.Request{
		Method:        parts[0],
		URL:           target,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header(header),
		Body:          http.NoBody,
		ContentLength: int64(length),
		Host:          host,
		RemoteAddr:    remoteAddress,
		RequestURI:    parts[1],
	}
	if length > 0 {
		request.Body = body{reader}
	}
	return request.WithContext(ctx), nil
}

// body reads what is left of a message.
type body struct{ io.Reader }

func (body) Close() error { return nil }
