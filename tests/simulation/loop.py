"""An event loop with a clock of its own: nobody waits, time goes on to whatever is due next.

It has what tasks, futures, timeouts and groups ask of a loop, and no more: no sockets, threads, signals or debugging.
A seed is some ten thousand steps of it, so each costs little.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from heapq import heappop, heappush
from threading import get_ident
from typing import Any, Final, TypeVar, cast
from unittest import mock

T = TypeVar("T")

HAIR: Final = 1e-9
"""By how many seconds what is due comes late: time is a sum of fractions, and whoever wakes up is to find it passed."""


class StandstillError(Exception):
    """Nothing will ever happen again, and what was run hasn't ended."""


class _Numbered(asyncio.Task[Any]):
    """A task whose place in a set is its number: groups cancel theirs in the order of a set, which addresses decide."""

    def __init__(self, number: int, *given: Any, **named: Any) -> None:
        self._number = number
        super().__init__(*given, **named)

    def __hash__(self) -> int:
        return self._number


class _Step:
    """What is to be called, unless it is cancelled."""

    __slots__ = ("arguments", "callback", "context")

    def __init__(self, callback: Callable[..., object], arguments: tuple[Any, ...], context: Context | None) -> None:
        self.callback: Callable[..., object] | None = callback
        self.arguments = arguments
        self.context = copy_context() if context is None else context

    def cancel(self) -> None:
        """Don't call it, and let go of what it would have been called with."""
        self.callback, self.arguments = None, ()


class SimulatedLoop:
    """Runs tasks as any loop does, in a time that goes on when all of them wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self.known = cast("asyncio.AbstractEventLoop", self)
        """It, as asyncio knows it."""
        self._ready: deque[_Step] = deque()
        self._timers: list[tuple[float, int, _Step | asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self.now

    def get_debug(self) -> bool:
        """No."""
        return False

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self.known)

    def create_task(self, coro: Any, **named: Any) -> asyncio.Task[Any]:
        """A task, which begins with the next step."""
        return _Numbered(next(self._numbers), coro, loop=self.known, **named)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        """Call something once all that was asked for before has been called."""
        step = _Step(callback, args, context)
        self._ready.append(step)
        return step

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        """Call something after so many seconds."""
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        """Call something at this time."""
        step = _Step(callback, args, context)
        heappush(self._timers, (when, next(self._numbers), step))
        return step

    def wake(self, future: asyncio.Future[None], when: float) -> None:
        """End what a future is awaited for at this time."""
        heappush(self._timers, (when, next(self._numbers), future))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Say nothing: what was left behind by who was killed ends somehow, and nobody asks how."""

    def run_until_complete(self, future: Any) -> Any:
        """Run a coroutine to its end. Raises StandstillError, and what it raises."""
        task = self.create_task(future)
        ready, timers = self._ready, self._timers
        while not task.done():
            if ready:
                step = ready.popleft()
                if step.callback is not None:
                    step.context.run(step.callback, *step.arguments)
            elif timers:
                when, _, due = heappop(timers)
                if isinstance(due, _Step):
                    if due.callback is None:
                        continue
                    ready.append(due)
                elif due.done():
                    continue
                else:
                    due.set_result(None)
                # What came due while others had their turn comes now, and time never goes back.
                self.now = max(self.now, when + HAIR)
            else:
                raise StandstillError
        return task.result()


_running: SimulatedLoop | None = None


def time() -> float:
    """Seconds of simulated time; outside of it those of the loop that runs."""
    return asyncio.get_running_loop().time() if _running is None else _running.now


async def sleep(seconds: float) -> None:
    """Be so many seconds later."""
    if _running is None or seconds <= 0:
        await asyncio.sleep(seconds)
        return
    future = asyncio.Future[None](loop=_running.known)
    _running.wake(future, _running.now + seconds)
    await future


async def until(look: Callable[[], T | None], pause: Callable[[], float]) -> T:
    """Look again and again, after a pause each time, and return what there was to be seen; raises what a look does.

    It is a loop of `sleep` and `look`, but wakes nobody as long as nothing is to be seen.
    """
    simulated = _running
    assert simulated is not None
    future = asyncio.Future[T](loop=simulated.known)

    def wake() -> None:
        if future.done():
            return
        try:
            seen = look()
        except BaseException as error:  # noqa: BLE001 -- whoever waits is to have it
            future.set_exception(error)
            return
        if seen is None:
            simulated.call_later(pause(), wake)
        else:
            future.set_result(seen)

    simulated.call_later(pause(), wake)
    return await future


def run(main: Coroutine[None, None, T]) -> T:
    """Run something to its end in simulated time, which begins at 0. Raises StandstillError."""
    global _running  # noqa: PLW0603 -- asyncio keeps the running loop so, and asks the system for each look at it
    loop = _running = SimulatedLoop()
    asyncio._set_running_loop(loop.known)  # noqa: SLF001 -- how loops say that they run
    try:
        # Python 3.11 asks the system for the process's id each time that it looks for the running loop.
        # Other threads of this process, such as a server's, go by loops of their own.
        ours, running = get_ident(), asyncio.events.get_running_loop
        found = lambda: loop if get_ident() == ours else running()  # noqa: E731 -- quicker than a mock
        with mock.patch.object(asyncio.events, "get_running_loop", found):
            result: T = loop.run_until_complete(main)
            left = asyncio.all_tasks(loop.known)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left))
            return result
    finally:
        asyncio._set_running_loop(None)  # noqa: SLF001 -- how loops say that they run no more
        _running = None
