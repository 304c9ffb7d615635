"""The worker of functions in Go, compiled into a real program: what the handler sees, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.builds import Builder
from tests.support.worker_process import WorkerProcess, running_worker

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

HANDLER = """package hello

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

func Handle(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/echo":
		body, _ := io.ReadAll(r.Body)
		json.NewEncoder(w).Encode(map[string]interface{}{
			"method": r.Method, "path": r.URL.Path, "query": r.URL.RawQuery, "host": r.Host, "uri": r.RequestURI,
			"body": string(body), "length": r.ContentLength, "header": r.Header, "remote": r.RemoteAddr,
		})
	case "/headers":
		w.Header()["X-Raw"] = []string{"a\\r\\nX-Injected: 1", " b "}
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Length", "3")
		w.Header().Set("Fnkit-Request", "forged")
		w.Header()["bad name"] = []string{"x"}
		w.WriteHeader(201)
		w.Header().Set("X-Late", "1")
		fmt.Fprint(w, "created")
		w.WriteHeader(404)
	case "/empty":
	case "/status":
		w.WriteHeader(418)
	case "/no-content":
		w.WriteHeader(204)
		if _, err := w.Write([]byte("x")); err != http.ErrBodyNotAllowed {
			panic(err)
		}
	case "/flush":
		fmt.Fprint(w, "a")
		w.(http.Flusher).Flush()
		fmt.Fprint(w, "b")
	case "/panic":
		fmt.Fprint(w, "partial")
		panic("boom")
	case "/goexit":
		runtime.Goexit()
	case "/invalid":
		w.WriteHeader(12)
	case "/big":
		io.WriteString(w, strings.Repeat("x", 9<<20))
	case "/bytes":
		w.Write([]byte{0xff, 0xd8, 0})
	case "/context":
		<-make(chan int, 1)
	case "/child":
		out, _ := exec.Command("/bin/sh", "-c", "ls /proc/self/fd | tr '\\\\n' ' '").CombinedOutput()
		w.Write(append(out, os.Getenv("FNKIT_WORKER_FD")...))
	}
}
"""


@pytest.fixture(scope="module")
def worker(go_builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    files = {"go.mod": "module example.com/hello\n\ngo 1.21\n", "handler.go": HANDLER}
    program = go_builder.build("Go", "Handle", files).program
    with running_worker(program, tmp_path_factory.mktemp("worker")) as running:
        assert running.first_line() == b'{"ready": true}\n'
        yield running


def test_handler_sees_the_request(worker: WorkerProcess) -> None:
    headers = "Host: f.localhost\r\nX-One: 1\r\nContent-Type: text/plain\r\n"
    response = worker.request("PUT", "/echo?q=1&r=%20x", b"body\n\r\n\r\nrest", headers)
    seen = json.loads(response.body)
    assert seen == {
        "method": "PUT",
        "path": "/echo",
        "query": "q=1&r=%20x",
        "host": "f.localhost",
        "uri": "/echo?q=1&r=%20x",
        "body": "body\n\r\n\r\nrest",
        "length": 13,
        "header": {"X-One": ["1"], "Content-Type": ["text/plain"]},
        "remote": "127.0.0.1:8080",
    }


def test_body_of_six_mebibytes(worker: WorkerProcess) -> None:
    response = worker.request("POST", "/echo", b"x" * (6 << 20))
    assert b'"length":6291456' in response.body


def test_headers_are_those_of_the_handler_when_it_wrote_the_status(worker: WorkerProcess) -> None:
    response = worker.request(target="/headers")
    assert (response.status, response.body) == (201, b"created")
    assert response.lines == [
        "Content-Type: text/plain; charset=utf-8",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
        "X-Raw: a  X-Injected: 1",
        "X-Raw: b",
        "content-length: 7",
        "fnkit-request: 00ff00ff00ff00ff",
    ]
    assert "superfluous" in worker.log


@pytest.mark.parametrize(
    ("target", "status", "body", "content_type"),
    [
        ("/empty", 200, b"", ""),
        ("/status", 418, b"", ""),
        ("/no-content", 204, b"", ""),
        ("/flush", 200, b"ab", "text/plain; charset=utf-8"),
        ("/bytes", 200, b"\xff\xd8\x00", "application/octet-stream"),
    ],
)
def test_type_of_a_body_is_detected_as_by_the_server_of_go(
    worker: WorkerProcess, target: str, status: int, body: bytes, content_type: str
) -> None:
    response = worker.request(target=target)
    assert (response.status, response.body) == (status, body)
    added = [f"Content-Type: {content_type}"] if content_type else []
    assert response.lines == [*added, f"content-length: {len(body)}", "fnkit-request: 00ff00ff00ff00ff"]


def test_large_response_arrives_whole(worker: WorkerProcess) -> None:
    assert worker.request(target="/big").body == b"x" * (9 << 20)


def test_head_is_answered_as_get(worker: WorkerProcess) -> None:
    assert worker.request("HEAD", "/flush").status == 200


@pytest.mark.parametrize("target", ["/panic", "/goexit", "/invalid"])
def test_panic_is_answered_and_the_process_lives(worker: WorkerProcess, target: str) -> None:
    response = worker.request(target=target)
    assert (response.status, response.body) == (500, b'Post "http://127.0.0.1:8081/": EOF')
    assert response.lines[0] == "fnkit-handler-panicked: 1"
    assert worker.request(target="/flush").body == b"ab"


def test_stack_of_a_panic_names_the_file_of_the_handler(worker: WorkerProcess) -> None:
    worker.request(target="/panic")
    assert "boom" in worker.log
    assert "example.com/hello/handler.go:" in worker.log


def test_child_processes_inherit_no_descriptor_of_the_platform(worker: WorkerProcess) -> None:
    assert worker.request(target="/child").body.split() == [b"0", b"1", b"2", b"3"]  # 3 is the directory itself


def test_process_ends_with_its_connection(go_builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = {"go.mod": "module example.com/hello\n\ngo 1.21\n", "handler.go": HANDLER}
    program = go_builder.build("Go", "Handle", files).program
    with running_worker(program, tmp_path_factory.mktemp("worker")) as running:
        assert running.first_line() == b'{"ready": true}\n'
        assert running.close() == 0
