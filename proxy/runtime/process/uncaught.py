"""What no code of ours catches, and what libraries say: one JSON line each, in place of a traceback or a text on standard error.

A traceback shows the message of an exception and a library's log line quotes what it worked on: either could hold a prompt or a
key. So of both is told what names code alone: the type and where, or the logger and the level.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

OnError = Callable[[BaseException], None]


def tell_uncaught(loop: asyncio.AbstractEventLoop, on_error: OnError, tell: Callable[..., None]) -> None:
    """From now on, for this process and its `loop`. `tell` takes an event's name and its members."""

    def in_loop(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException):
            on_error(error)
        else:
            # asyncio's own words, which quote nothing but the names of tasks and transports.
            tell("event_loop_complained", about=sorted(name for name in context if name != "message"))

    def at_end(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
        on_error(error)

    def in_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None:
            on_error(arguments.exc_value)

    def unraisable(found: "sys.UnraisableHookArgs") -> None:
        if found.exc_value is not None:
            on_error(found.exc_value)

    loop.set_exception_handler(in_loop)
    sys.excepthook = at_end
    sys.unraisablehook = unraisable
    threading.excepthook = in_thread
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers[:] = [_Told(tell)]
    root.setLevel(logging.WARNING)


class _Told(logging.Handler):
    """What a library logs, without its words."""

    def __init__(self, tell: Callable[..., None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        kind = None if record.exc_info is None or record.exc_info[0] is None else record.exc_info[0].__name__
        where = f"{record.module}:{record.lineno}"
        self._tell("library_warning", logger=record.name, severity=record.levelname.lower(), error=kind, at=where)
