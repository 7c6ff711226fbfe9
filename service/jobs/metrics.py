"""What a worker counts of its work, for Prometheus, the terminal and the log. Labels never name a store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import structlog
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from service.operations.payments import recovery
from service.store.accidents import without_values

log = structlog.get_logger(part="jobs")

SECONDS_OF_LATENESS = (1, 2, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)
SECONDS_OF_A_JOB = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

COPIES = Counter("reprise_copies", "Copies that came to an end, by their type and how.", ["type", "outcome"])
LATENESS = Histogram(
    "reprise_copy_lateness_seconds",
    "From the instant an occurrence was scheduled for to the start of its copy.",
    buckets=SECONDS_OF_LATENESS,
)
SWEEPS = Counter("reprise_sweeps", "Looks at the schedule.")
SWEEP_FAILURES = Counter("reprise_sweep_failures", "Looks at the schedule, of all stores or of one, that failed.")
PARKED = Counter("reprise_subscriptions_parked", "Subscriptions taken out of the schedule until somebody looks.")
JOBS = Histogram(
    "reprise_job_seconds", "Jobs of the queue, by how they ended.", ["job", "outcome"], buckets=SECONDS_OF_A_JOB
)
DELIVERIES = Counter("reprise_deliveries", "Attempts to deliver an event to a webhook, by how they ended.", ["outcome"])
DISPATCHED = Counter("reprise_event_batches", "Batches of events that were given to webhooks.")
PUBLISHED = Counter("reprise_events_published", "Events that a stream has said that it keeps.")
PUBLISH_FAILURES = Counter("reprise_event_publish_failures", "Attempts to publish events that failed.")
RUNNING = Gauge("reprise_jobs_running", "Jobs that run at the moment.", ["job"])


@dataclass(frozen=True, slots=True)
class Done:
    """What this process has done since it began; `running` are the jobs that it is at, by their names.

    `delivered` and `undelivered` count attempts to tell webhooks, `unpublished` attempts to publish events. `renewals`
    are runs that have failed, `recovered` those that were paid after all, `lost` those that stay unpaid.
    """

    completed: int
    failed: int
    sweeps: int
    failed_sweeps: int
    failed_jobs: int
    delivered: int
    undelivered: int
    published: int
    unpublished: int
    renewals: int
    recovered: int
    lost: int
    running: dict[str, int]


def done() -> Done:
    """What this process has done so far."""
    return Done(
        completed=_sum(COPIES, outcome="completed"),
        failed=_sum(COPIES, outcome="failed"),
        sweeps=_sum(SWEEPS),
        failed_sweeps=_sum(SWEEP_FAILURES),
        failed_jobs=_sum(JOBS, outcome="failed"),
        delivered=_sum(DELIVERIES, outcome="delivered"),
        undelivered=_sum(DELIVERIES, outcome="failed"),
        published=_sum(PUBLISHED),
        unpublished=_sum(PUBLISH_FAILURES),
        renewals=_sum(recovery.FAILED),
        recovered=_sum(recovery.RECOVERED),
        lost=_sum(recovery.LOST),
        running={labels["job"]: int(value) for labels, value in _values(RUNNING) if value},
    )


def counted(name: str, run: Callable[[Job], Awaitable[None]]) -> Callable[[Job], Awaitable[None]]:
    """A job that is counted and timed when it runs."""

    async def counting(job: Job) -> None:
        began, outcome = perf_counter(), "failed"
        with RUNNING.labels(name).track_inprogress():
            try:
                await run(job)
                outcome = "completed"
            except RetryRequested:
                outcome = "put_off"
                raise
            except Exception as error:
                without_values(error)  # the queue keeps its text
                log.warning("a job failed", job=name, attempt=job.attempts + 1, exc_info=True)
                raise
            finally:
                JOBS.labels(name, outcome).observe(perf_counter() - began)

    return counting


def _sum(metric: MetricWrapperBase, **labels: str) -> int:
    return int(sum(value for found, value in _values(metric) if labels.items() <= found.items()))


def _values(metric: MetricWrapperBase) -> Iterator[tuple[dict[str, Any], float]]:
    """The counts of a metric by its labels: totals of a counter, numbers of a histogram, values of a gauge."""
    for family in metric.collect():
        for sample in family.samples:
            if sample.name.removeprefix(family.name) in ("", "_total", "_count"):
                yield sample.labels, sample.value
