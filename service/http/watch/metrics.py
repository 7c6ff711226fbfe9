"""/metrics: what the processes count, and how the work stands, in Prometheus's text formats."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Iterator, MutableMapping
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from service import clock
from service.http.state import process_of
from service.http.watch.lookout import Look
from service.operations.webhooks import publishing
from service.operations.webhooks.delivering import Standing

METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
"""The methods that are counted by their names: clients may send any word."""

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of the environment that names the folder in which several processes count together."""

REQUESTS = Histogram(
    "reprise_http_request_seconds",
    "Requests from their first byte to the end of their answers, by the template of their URL.",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


def count(scope: MutableMapping[str, Any], method: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    route: str = getattr(scope.get("route"), "path", "")
    _series(method if method in METHODS else "", route, status).observe(seconds)


@lru_cache(maxsize=1024)
def _series(method: str, route: str, status: int) -> Histogram:
    """Remembered, since finding one costs more than counting."""
    return REQUESTS.labels(method, route, status)


async def metrics(request: Request) -> Response:
    """GET /metrics at the port of the API, for who has the token of the settings; without one for nobody.

    Where a request comes from says nothing: a proxy on the same machine passes on what the whole world sends.
    """
    if not process_of(request).settings.metrics_token:
        return PlainTextResponse(
            "Set REPRISE_METRICS_TOKEN to read the metrics here, or REPRISE_METRICS_PORT for a port of their own.\n",
            403,
        )
    return await metrics_apart(request)


async def metrics_apart(request: Request) -> Response:
    """GET /metrics at a port of its own, with the token of the settings if there is one."""
    process = process_of(request)
    token = process.settings.metrics_token
    sent, wanted = request.headers.get("authorization", ""), f"Bearer {token}"
    if token and not hmac.compare_digest(sent.encode(), wanted.encode()):
        headers = {"WWW-Authenticate": 'Bearer realm="metrics"'}
        return PlainTextResponse("Send the token of REPRISE_METRICS_TOKEN.\n", 401, headers)
    try:
        seen = await process.lookout.look()
    except Exception:  # noqa: BLE001 -- that it doesn't answer is what there is to tell
        seen = None
    process.database.tell()
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    registry = CollectorRegistry()
    registry.register(_Work(seen))
    for collector in _collectors():
        registry.register(collector)
    return Response(encode(registry), headers={"Content-Type": media_type})


class _Work(Collector):
    """How the work stands, as it was seen just now; None when the database doesn't answer."""

    def __init__(self, seen: Look | None) -> None:
        self._seen = seen

    def collect(self) -> Iterable[Metric]:
        """Give the metrics."""
        answers, situation = self._seen is not None, None if self._seen is None else self._seen.situation
        yield GaugeMetricFamily("reprise_database_up", "Whether the database answers.", int(answers))
        if self._seen is None or situation is None:
            return
        yield GaugeMetricFamily(
            "reprise_database_foreign",
            "Whether the database belongs to another deployment, so that its schedule and queue are idle.",
            int(self._seen.foreign),
        )
        backlog = GaugeMetricFamily("reprise_backlog", "What waits, by what it is and for whom.", labels=["state"])
        backlog.add_metric(["subscriptions_due"], situation.due)
        backlog.add_metric(["copies_pending"], situation.pending)
        backlog.add_metric(["copies_claimed"], situation.claimed)
        backlog.add_metric(["payments"], situation.payments)
        yield backlog
        yield GaugeMetricFamily("reprise_late_runs", "Runs that should have begun or ended long ago.", situation.late)
        yield GaugeMetricFamily("reprise_workers", "Workers that show signs of life.", situation.workers)
        if self._seen.deliveries is not None:
            yield from _deliveries(self._seen.deliveries)
        if self._seen.stream is not None:
            yield from _stream(self._seen.stream)


def _stream(standing: publishing.Standing) -> Iterator[Metric]:
    yield GaugeMetricFamily("reprise_events_waiting", "Events that are still to be published.", standing.waiting)
    yield GaugeMetricFamily(
        "reprise_event_lateness_seconds",
        "For how long the event that waits longest could have been published.",
        _seconds(standing.since),
    )
    yield GaugeMetricFamily(
        "reprise_stream_failing_seconds",
        "For how long nothing could be published that was tried; 0 while it can.",
        _seconds(standing.failing_since),
    )


def _seconds(since: datetime | None) -> float:
    """How long ago something was; 0 for what never was."""
    return 0.0 if since is None else max(clock.now() - since, timedelta(0)).total_seconds()


def _deliveries(standing: Standing) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "reprise_deliveries_waiting", "Events that webhooks are still to be told.", standing.waiting
    )
    yield GaugeMetricFamily(
        "reprise_delivery_lateness_seconds",
        "For how long the delivery that waits longest could have been sent.",
        _seconds(standing.since),
    )
    yield GaugeMetricFamily(
        "reprise_webhooks_stopped", "Webhooks whose circuit is open, so that they are told nothing.", standing.stopped
    )


def _collectors() -> Iterator[Collector]:
    """What this process counts, or what all do that count together with it."""
    shared = os.environ.get(SHARED)
    if shared is None:
        yield REGISTRY
        return
    for path in Path(shared).glob("gauge_live*_*.db"):
        # Nobody else tells that a process was killed, with what it held.
        pid = int(path.stem.rpartition("_")[2])
        if not _runs(pid):
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
    yield MultiProcessCollector(None)  # type: ignore[no-untyped-call]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


routes = [Route("/metrics", metrics)]
routes_apart = [Route("/metrics", metrics_apart)]
