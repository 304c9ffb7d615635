"""Serves HTTP in a thread, and calls itself."""

import http.server
import threading
import urllib.request


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()


def handle(event, context):
    with urllib.request.urlopen("http://127.0.0.1:%d/local" % server.server_port, timeout=60) as answer:
        return {"body": answer.read().decode()}
