"""Log lines: JSON on standard error, or for people when that is a terminal."""

from __future__ import annotations

import asyncio
import atexit
import logging
import sys
from datetime import UTC, datetime
from typing import BinaryIO, ClassVar, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.errors import StartupError
from service.store.accidents import without_values

REQUEST = "request"
"""The event of the line that each request has."""
SOON = 0.05
"""Seconds that such a line waits at most until it is written."""
_MOST_WAITING = 1_000


def configure(level: str) -> None:
    """Log from this level on (debug, info, warning, error), our own lines and those of libraries alike.

    Raises StartupError for any other level.
    """
    if level.lower() not in ("debug", "info", "warning", "error"):
        raise StartupError("REPRISE_LOG_LEVEL must be debug, info, warning or error.")
    least = getattr(logging, level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        _without_values,
    ]
    renderer: Processor
    if sys.stderr.isatty():
        renderer = structlog.dev.ConsoleRenderer()
        # All lines go the way of `logging`, where the board of a worker listens.
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                *shared,
                structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=True,
        )
    else:
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer(serializer=orjson.dumps)
        # Our own lines, one for each request, go straight to their file: the way of `logging` costs three times that,
        # that of one processor after another twice, and a system call for each as much as making it.
        structlog.configure(
            processors=[_line],
            logger_factory=_Lines(sys.stderr.buffer),
            wrapper_class=_straight(least),
            cache_logger_on_first_use=True,
        )
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _as_text(renderer)],
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(least)
    # Their lines tell nothing new, and those of httpx2 whole URLs, which may hold secrets of receivers.
    for name in ("databases", "httpx2", "pgqueuer", "uvicorn"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _Lines:
    """Lines on their way to a file. Those of requests are written together a moment later, all others at once.

    They keep their order. Nothing but a crash of Python itself loses any.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._waiting: list[bytes] = []
        self._due: asyncio.TimerHandle | None = None
        atexit.register(self.write)
        _Handler.lines = self

    def __call__(self, *_: object) -> _Lines:
        """Make a logger, as structlog asks for one: there is one for all."""
        return self

    def later(self, line: bytes) -> None:
        """Write a line soon, which takes an event loop; at once where there is none."""
        self._waiting.append(line)
        if self._due is None:
            try:
                self._due = asyncio.get_running_loop().call_later(SOON, self.write)
            except RuntimeError:
                self.write()
        elif len(self._waiting) >= _MOST_WAITING:
            self.write()

    def msg(self, line: bytes) -> None:
        """Write a line, and those before it."""
        self._waiting.append(line)
        self.write()

    debug = info = warning = warn = error = critical = exception = fatal = failure = err = log = msg

    def write(self) -> None:
        """Write what waits."""
        lines, self._waiting = self._waiting, []
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if lines:
            self._file.write(b"\n".join([*lines, b""]))
            self._file.flush()


class _Handler(logging.StreamHandler[TextIO]):
    """What libraries log goes behind the lines that came before."""

    lines: ClassVar[_Lines | None] = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        if self.lines is not None:
            self.lines.write()
        super().emit(record)


def _straight(least: int) -> type:
    """The class of loggers from a level on, whose lines of requests don't go from one part of structlog to the next."""
    filtering: type = structlog.make_filtering_bound_logger(least)
    if least > logging.INFO:
        return filtering

    class Straight(filtering):  # type: ignore[misc]  # structlog makes it
        def info(self, event: str, **values: object) -> None:
            write = self._logger.later if event == REQUEST else self._logger.msg
            write(_line(self._logger, "info", {**self._context, **values, "event": event}))

    return Straight


def _without_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Take values of rows out of the error that a line tells of."""
    told = event.get("exc_info")
    error = told if isinstance(told, BaseException) else told[1] if isinstance(told, tuple) else sys.exc_info()[1]
    if told and error is not None:
        without_values(error)
    return event


def _line(_: WrappedLogger, level: str, event: EventDict) -> bytes:
    """A line of JSON, as the processors beside it make one of what libraries log."""
    event["level"] = level
    event["timestamp"] = f"{datetime.now(UTC).isoformat()[:-6]}Z"
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(_, level, _without_values(_, level, event))
    return orjson.dumps(event, default=repr)


def _as_text(renderer: Processor) -> Processor:
    """A renderer for handlers of `logging`, which write text."""

    def render(logger: WrappedLogger, name: str, event: EventDict) -> str:
        line = renderer(logger, name, event)
        return line.decode() if isinstance(line, bytes) else str(line)

    return render
