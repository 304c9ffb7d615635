"""The files of a program that was built from a function in a compiled language.

Standard library only, Python 3.8 and later.
"""

from __future__ import annotations

BUILT_PROGRAM = ".fnkit/handler"
"""The program, below the directory of the function's code."""
HTTP_SERVER = ".fnkit/http-server"
"""A file beside it if it serves HTTP, instead of answering on the socket of its instance."""
DESCRIPTOR_VARIABLE = "FNKIT_WORKER_FD"
"""Names the descriptor of the socket of its instance."""
