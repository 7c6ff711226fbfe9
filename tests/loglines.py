"""Logs as they were: commands that tests call in their own process set up the logs of that process for good."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import structlog

_Proxy = type(structlog.get_logger())


@contextmanager
def kept() -> Iterator[None]:
    """Whatever sets up logs meanwhile, they are afterwards as before."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    yield
    if structlog.get_config() == before:
        return
    structlog.configure(**before)
    root.handlers = handlers
    root.setLevel(level)
    for name, module in list(sys.modules.items()):
        if name.startswith("service."):
            _forget_loggers(vars(module).values())


def _forget_loggers(values: Iterable[object]) -> None:
    """Let loggers ask again how they are configured: a used one keeps the file it wrote to, closed or not."""
    for value in values:
        if type(value) is _Proxy:
            vars(value).pop("bind", None)
