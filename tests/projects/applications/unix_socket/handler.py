"""Listens on a Unix socket for a thread of its own."""

import os
import socket
import tempfile
import threading


def handle(event, context):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        try:
            listener = socket.socket(socket.AF_UNIX)
        except OSError as error:
            return {"body": type(error).__name__}
        os.chdir(folder)
        listener.bind("s")
        listener.listen()
        threading.Thread(target=lambda: listener.accept()[0].sendall(b"hello"), daemon=True).start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("s")
            found = client.recv(5).decode()
        listener.close()
        os.chdir("/")
        return {"body": found}
