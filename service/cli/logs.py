"""Log lines: JSON on standard error, or for people when that is a terminal."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import Processor

from service.errors import StartupError


def configure(level: str) -> None:
    """Log from this level on (debug, info, warning, error), our own lines and those of libraries alike.

    Raises StartupError for any other level.
    """
    if level.lower() not in ("debug", "info", "warning", "error"):
        raise StartupError("REPRISE_LOG_LEVEL must be debug, info, warning or error.")
    terminal = sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    if not terminal:
        shared.append(structlog.processors.format_exc_info)
    renderer: Processor = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Their lines about starting and stopping tell nothing new.
    for name in ("databases", "pgqueuer", "uvicorn"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
