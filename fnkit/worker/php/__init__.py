"""The PHP program that serves a function: ``serve.php``, with no packages, for PHP 8.2 and later.

It is started as ``php [-d name=value …] /home/app/index.php``, before its function is known, with the descriptors
and the protocol that ``fnkit.worker.node`` describes. ``compile_cache`` has no meaning here: opcache takes its
directory from the command line.

With the extension ``ffi``, descriptor 4 is closed and child processes of a handler do not inherit the socket;
without it they do.
"""

from __future__ import annotations

PROGRAM_NAME = "serve.php"
"""The program, in this directory."""
PROGRAM_PATH = "/home/app/index.php"
"""Where an instance sees it, as on the real platform."""
INI_SETTINGS = (
    ("memory_limit", "-1"),  # the instance's limit counts
    ("max_execution_time", "0"),  # as is the timeout of the function
    ("output_buffering", "0"),
    ("variables_order", "EGPCS"),
    ("log_errors", "1"),  # one line per message; display_errors puts an empty line before each
    ("error_log", ""),  # stderr
    ("display_errors", "0"),
    ("html_errors", "0"),
    ("ignore_user_abort", "1"),  # a closed stdout does not end the process
    ("zend.exception_ignore_args", "1"),  # arguments in stack traces could be secrets
    ("opcache.enable_cli", "1"),
)
"""What to pass with ``-d``.

With ``opcache.file_cache``, compiled files outlive the process. It needs ``opcache.file_cache_only=1`` where shared
memory is not available. The cache knows a file by its path and its time of modification, and all functions have
their code at the same path: each deployment needs a directory of its own.
"""
