"""The Node program that serves a function: ``serve.js``, with no packages, for Node 18 and later.

Before 20.19, Node takes a ``.js`` file whose ``package.json`` has no ``type`` for CommonJS, whatever is in it.

The program is started as ``node NODE_FLAGS /home/app/index.js``, before its function is known. Its descriptors:

- 0 is the null device, 1 and 2 are the log;
- 3 is the connected stream socket of the instance, in blocking mode;
- 4 is read until the first line feed, which blocks, and closed. The line is a JSON object: ``handler``
  (``dir/file.name``), ``root`` (the directory of the function's code), ``home`` (the working directory), and
  optionally ``compile_cache`` (a directory for the code that V8 has compiled), ``debugger`` (the ``port`` at which
  it reports where its debugger listens, and the ``key`` that it says there first) and ``has_environment`` (whether
  the process was started with the environment of its function). End of file instead of a line ends the process
  with status 0.

Over the socket come first four bytes, big-endian: the length of a JSON object, which follows them and is the
function's environment; with ``has_environment``, they are left out. The program loads the handler and answers
``{"ready": true}`` and a line feed, or ``{"error": "..."}`` and a line feed if it failed before it came to the
handler. From then on the socket carries HTTP/1.1, one request at a time: ``{"event", "context"}`` in, the
handler's value out, or 500 and a text if it failed. The header ``fnkit-request`` of a request, directly before
its ``content-length``, is repeated as the last header of the response. ``connection: close`` in a response
announces the end of the process. End of file ends the process with status 0.
"""

from __future__ import annotations

PROGRAM_NAME = "serve.js"
"""The program, in this directory."""
PROGRAM_PATH = "/home/app/index.js"
"""Where an instance sees it, as on the real platform."""
NODE_FLAGS = ("--enable-source-maps",)
"""Stack traces show the files and lines that source maps name."""
