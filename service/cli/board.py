"""What a worker shows of its work: on a terminal a board that is alive, elsewhere a log line a minute.

On a terminal log lines appear above the board, whose last line keeps the last of them that is a warning or worse.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from time import monotonic

import structlog
from rich.console import Console
from rich.live import Live
from rich.table import Table

from service import clock
from service.cli.console import told
from service.jobs.metrics import Done, done
from service.operations.runtime import watching
from service.operations.runtime.watching import Situation
from service.operations.webhooks import delivering, publishing
from service.operations.webhooks.publishing import published_to
from service.settings import Settings
from service.store.pool import Database, is_away, open_configured
from service.texts import Phrase

log = structlog.get_logger(part="worker")

NONE = Phrase("none")

DRAWN = 0.5
"""Seconds between two drawings of the board."""

LOOKED = 2.0
"""Seconds between two looks at the backlog, which the board makes."""

TOLD = 60.0
"""Seconds between two log lines."""

RATED = 10.0
"""Over how many seconds rates are taken."""


@asynccontextmanager
async def shown(settings: Settings, stop: asyncio.Event) -> AsyncIterator[None]:
    """Meanwhile this process's work is shown; once `stop` is set, also what it waits for."""
    task = asyncio.create_task(_draw(settings, stop) if sys.stderr.isatty() else _tell(stop))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _tell(stop: asyncio.Event) -> None:
    """Log what is done, where anything is, until this is cancelled."""
    before = done()
    try:
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), TOLD)
            before = _tell_since(before)
        log.info("stopping", waiting_for=before.running)
        await asyncio.get_running_loop().create_future()
    finally:
        _tell_since(before)


def _tell_since(before: Done) -> Done:
    now = done()
    grown = {
        "copies_completed": now.completed - before.completed,
        "copies_failed": now.failed - before.failed,
        "deliveries": now.delivered - before.delivered,
        "deliveries_failed": now.undelivered - before.undelivered,
        "events_published": now.published - before.published,
        "renewals_failed": now.renewals - before.renewals,
        "renewals_recovered": now.recovered - before.recovered,
        "renewals_lost": now.lost - before.lost,
    }
    if any(grown.values()):
        log.info("worked", **grown, jobs_running=now.running)
    return now


async def _draw(settings: Settings, stop: asyncio.Event) -> None:
    """Draw the board until this is cancelled."""
    async with open_configured(settings, max_size=1) as database:
        board = _Board(published_to(settings))
        with Live(console=Console(stderr=True), auto_refresh=False) as live, _heard(board):
            try:
                while True:
                    await board.look(database)
                    live.update(board.table(done(), stopping=stop.is_set()), refresh=True)
                    await asyncio.sleep(DRAWN)
            finally:
                live.update(board.table(done(), stopping=True), refresh=True)


class _Board(logging.Handler):
    """The state of the board; a log handler for the last error."""

    def __init__(self, destination: str | None) -> None:
        super().__init__(logging.WARNING)
        self._began = monotonic()
        self._destination = destination
        self._copies, self._told, self._published = _Rate(), _Rate(), _Rate()
        self._looked = -LOOKED
        self._situation: Situation | None = None
        self._deliveries: delivering.Standing | None = None
        self._stream: publishing.Standing | None = None
        self._error: str = NONE

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what went wrong."""
        said = record.msg.get("event", "") if isinstance(record.msg, dict) else record.getMessage()
        self._error = f"{clock.now():%H:%M:%S} {said}"

    async def look(self, database: Database) -> None:
        """Look at the backlog, if it is time."""
        if monotonic() - self._looked < LOOKED:
            return
        self._looked = monotonic()
        try:
            async with database.connection() as connection:
                self._situation = await watching.look(connection, clock.now())
                self._deliveries = await delivering.standing(connection)
                if self._destination is not None:
                    self._stream = await publishing.standing(connection, self._destination)
        except Exception as error:
            if not is_away(error):
                raise
            self._situation = self._deliveries = self._stream = None

    def table(self, now: Done, *, stopping: bool) -> Table:
        """The board: a line for each thing to know."""
        table = Table.grid(padding=(0, 2))
        for name, text in self._lines(now, stopping=stopping):
            table.add_row(told(name), told(text))
        return table

    def _lines(self, now: Done, *, stopping: bool) -> Iterator[tuple[Phrase, str]]:
        jobs = ", ".join(f"{name} {number}" for name, number in now.running.items()) or NONE
        if stopping:
            yield Phrase("stopping"), Phrase("waits for jobs: {jobs}", jobs=jobs)
        else:
            minutes, seconds = divmod(int(monotonic() - self._began), 60)
            since = f"{minutes}:{seconds:02}"
            yield Phrase("working"), Phrase("for {time} (Ctrl-C finishes what was begun, then stops)", time=since)
            yield Phrase("jobs"), jobs
        rate = self._copies.after(now.completed + now.failed)
        made = {"rate": rate, "completed": now.completed, "failed": now.failed}
        yield Phrase("copies"), Phrase("{rate:.1f}/s, {completed} completed, {failed} failed").filled(**made)
        fared = {"failed": now.renewals, "recovered": now.recovered, "lost": now.lost}
        yield Phrase("renewals"), Phrase("{failed} failed, {recovered} recovered, {lost} lost").filled(**fared)
        yield from self._backlog()
        yield from self._events(now)
        swept = {"sweeps": now.sweeps, "failed": now.failed_sweeps, "jobs": now.failed_jobs}
        yield Phrase("sweeps"), Phrase("{sweeps}, {failed} failed; {jobs} jobs failed").filled(**swept)
        yield Phrase("last error"), self._error

    def _backlog(self) -> Iterator[tuple[Phrase, str]]:
        what, now = Phrase("backlog"), self._situation
        if now is None:
            yield what, Phrase("the database does not answer")
            return
        counts = {"due": now.due, "pending": now.pending, "claimed": now.claimed, "payments": now.payments}
        waiting = Phrase("{due} due, {pending} pending, {claimed} claimed, {payments} payments waiting")
        yield what, waiting.filled(**counts)
        if now.late_since is not None:
            since = Phrase("{late}, the first since {since:%Y-%m-%d %H:%M:%S} UTC", late=now.late, since=now.late_since)
            yield Phrase("late"), since
        yield Phrase("workers"), str(now.workers)

    def _events(self, now: Done) -> Iterator[tuple[Phrase, str]]:
        """What webhooks are told, and what is published, where anything is."""
        told, stream = self._deliveries, self._stream
        if told is not None:
            rate = self._told.after(now.delivered + now.undelivered)
            done = {"rate": rate, "done": now.delivered, "failed": now.undelivered, "stopped": told.stopped}
            text = Phrase("{rate:.1f}/s, {done} delivered, {failed} failed; {waits}; {stopped} receivers stopped")
            yield Phrase("webhooks"), text.filled(waits=_waits(told.waiting, told.since), **done)
        if stream is not None:
            done = {"rate": self._published.after(now.published), "done": now.published, "failed": now.unpublished}
            text = Phrase("{rate:.1f}/s, {done} published, {failed} failed; {waits}")
            yield Phrase("stream"), text.filled(waits=_waits(stream.waiting, stream.since), **done)
            if stream.error is not None and stream.waiting:
                yield Phrase("stream fails"), stream.error


class _Rate:
    """How fast a count grows, over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def after(self, count: int) -> float:
        """What it grows by in a second, now that it is so high."""
        at = monotonic()
        self._samples.append((at, count))
        while self._samples[0][0] < at - RATED:
            self._samples.popleft()
        first, before = self._samples[0]
        return (count - before) / (at - first) if at > first else 0.0


def _waits(number: int, since: datetime | None) -> str:
    """How many wait, and for how long the first of them does, if it could go."""
    seconds = 0 if since is None else max(round((clock.now() - since).total_seconds()), 0)
    return Phrase("{number} waiting, the first for {seconds} s").filled(number=number, seconds=seconds)


@contextmanager
def _heard(board: _Board) -> Iterator[None]:
    """Meanwhile log lines go where they don't tear the board, and errors onto it."""
    root = logging.getLogger()
    streams = [handler for handler in root.handlers if isinstance(handler, logging.StreamHandler)]
    for handler in streams:
        handler.setStream(sys.stderr)  # rich's, while the board is there
    root.addHandler(board)
    try:
        yield
    finally:
        root.removeHandler(board)
        for handler in streams:
            handler.setStream(sys.__stderr__)
