"""One debugger that is attached to one instance, as seen from between them.

An instance that is replaced does not take its leave. So its debugger gets the event ``terminated`` from here, with
``restart`` if its configuration asks for it: then an editor attaches again, with all of its breakpoints.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from fnkit.contract.invocation.environment import CODE_DIRECTORY
from fnkit.dev.debugging.adapter_messages import decode, encode, frame, read_content, with_source_root

_LEAVE_SECONDS: Final = 5.0
_FIRST_OWN_NUMBER: Final = 1_000_000_000
"""Messages from here are numbered from here on, those of an instance from 1."""


class AdapterSession:
    """Passes on messages of the Debug Adapter Protocol.

    Args:
        reader: From the debugger.
        writer: To the debugger.
        far_reader: From the instance.
        far_writer: To the instance.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._far_reader = far_reader
        self._far_writer = far_writer
        self._number = _FIRST_OWN_NUMBER
        self._restarts = False
        self._is_over = False

    async def run(
        self, replaced: asyncio.Future[None], *, local: str, remote: str, included: Mapping[str, str]
    ) -> None:
        """Pass on messages until the debugger leaves.

        Args:
            replaced: Done when the instance is no longer the one that runs the function.
            local: The directory of the function's code in the project.
            remote: The same as the instance sees it.
            included: Directories outside of ``local`` whose code the instance sees in ``remote``, by name.

        Raises:
            OSError: A connection is lost.
        """
        outbound = asyncio.ensure_future(self._pass_requests(local, remote, included))
        inbound = asyncio.ensure_future(self._pass_responses())
        try:
            await asyncio.wait([outbound, inbound, replaced], return_when=asyncio.FIRST_COMPLETED)
            if not outbound.done():
                self._is_over = True
                inbound.cancel()
                self._send({"type": "event", "event": "terminated", "body": {"restart": self._restarts}})
                await asyncio.wait([outbound], timeout=_LEAVE_SECONDS)
        finally:
            for task in (outbound, inbound):
                task.cancel()
            await asyncio.gather(outbound, inbound, return_exceptions=True)
            self._release_instance()

    def _release_instance(self) -> None:
        """Leave the instance: a thread that stands at a breakpoint does not continue when the connection ends."""
        self._number += 1
        leaving = {"seq": self._number, "type": "request", "command": "disconnect"}
        self._far_writer.write(frame(encode({**leaving, "arguments": {"terminateDebuggee": False}})))

    async def _pass_requests(self, local: str, remote: str, included: Mapping[str, str]) -> None:
        while (content := await read_content(self._reader)) is not None:
            request = decode(content)
            if self._is_over:
                self._answer(request)
                if request.get("command") == "disconnect":
                    await self._writer.drain()
                    return
                continue
            if request.get("command") == "attach":
                arguments = request.get("arguments")
                self._restarts = isinstance(arguments, dict) and bool(arguments.get("restart"))
                request = with_source_root(
                    request, local=local, remote=remote, usual_remote=CODE_DIRECTORY, included=included
                )
                content = encode(request)
            self._far_writer.write(frame(content))
            await self._far_writer.drain()

    async def _pass_responses(self) -> None:
        while (content := await read_content(self._far_reader)) is not None:
            self._writer.write(frame(content))
            await self._writer.drain()

    def _answer(self, request: dict[str, object]) -> None:
        """Answer a request whose instance is gone: only leaving can succeed."""
        command = request.get("command")
        answer = {
            "type": "response",
            "request_seq": request.get("seq"),
            "command": command,
            "success": command == "disconnect",
        }
        self._send(answer)

    def _send(self, message: dict[str, object]) -> None:
        self._number += 1
        self._writer.write(frame(encode({"seq": self._number, **message})))
