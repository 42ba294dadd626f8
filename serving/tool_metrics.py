"""What a tool worker measures about its tools, for `GET /metrics`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
PrefetchOutcome = Literal["done", "failed", "dropped"]


@dataclass(frozen=True)
class MetricsOfTool:
    """The metrics of one tool."""

    seconds: Histogram
    wait_seconds: Histogram
    batch_size: Histogram
    prefetches: Callable[[PrefetchOutcome], None]


class ToolMetrics:
    """The metrics of all tools of a worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("tool",)
        self._seconds = Histogram("mmedagent_tool_seconds", "Time of the run of a call", labels, registry=registry)
        self._wait = Histogram(
            "mmedagent_tool_wait_seconds", "Time of a call before its run began", labels, registry=registry
        )
        self._size = Histogram(
            "mmedagent_tool_batch_size", "Calls in a run", labels, registry=registry, buckets=BATCH_SIZES
        )
        self._in_flight = Gauge("mmedagent_tool_in_flight", "Calls at work", labels, registry=registry)
        self._queued = Gauge("mmedagent_tool_queued", "Calls that wait", labels, registry=registry)
        self._prefetches = Counter(
            "mmedagent_tool_prefetches", "Images that could be prepared", ("tool", "outcome"), registry=registry
        )

    def of(self, tool: str, in_flight: Callable[[], int], queued: Callable[[], int]) -> MetricsOfTool:
        """The metrics of a tool; the two functions are asked whenever metrics are read."""
        self._in_flight.labels(tool).set_function(in_flight)
        self._queued.labels(tool).set_function(queued)

        def prefetches(outcome: PrefetchOutcome) -> None:
            self._prefetches.labels(tool, outcome).inc()

        return MetricsOfTool(self._seconds.labels(tool), self._wait.labels(tool), self._size.labels(tool), prefetches)
