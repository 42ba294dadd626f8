"""How workers make themselves known to the controller, and what it tells about them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.types import Identifier, Seconds, Sha256, ShortText, WireType

WorkerUrl = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.\-\[\]:]{1,253}(/[a-z0-9_]{1,64})?$")]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
ByteCount = Annotated[int, Field(ge=0, le=2**50)]
Concurrency = Annotated[int, Field(ge=1, le=1_024)]


MAX_ADAPTERS = 32


class PlannerCard(WireType):
    """What a planner worker tells about itself. `adapters` are the names of those that a request may ask for."""

    name: ShortText
    backend: ShortText
    version: ShortText
    checkpoint_sha256: Sha256 | None = None
    label: ShortText = ""
    adapters: tuple[ShortText, ...] = Field(default=(), max_length=MAX_ADAPTERS)

    def models(self) -> dict[str, str | None]:
        """The names that the public API gives the planner, each with the adapter that it stands for."""
        return {self.name: None} | {f"{self.name}:{adapter}": adapter for adapter in self.adapters}


class ToolOffer(WireType):
    """A tool. `prefetches` says that it wants to hear of images before it is asked about them."""

    kind: Literal["tool"] = "tool"
    card: ToolCard
    prefetches: bool = False


class PlannerOffer(WireType):
    """A planner. `completes` says that it also writes free text."""

    kind: Literal["planner"] = "planner"
    card: PlannerCard
    completes: bool = False


class WorkerRegistration(WireType):
    """Sent when the model is loaded and the self-test has passed. `url` is the base of /card, /health and the rest."""

    url: WorkerUrl
    offer: Annotated[ToolOffer | PlannerOffer, Field(discriminator="kind")]
    concurrency: Concurrency
    label: ShortText = ""


class Lease(WireType):
    """A worker is listed for `seconds` and renews in time; `worker_id` is the name of the lease."""

    worker_id: Identifier
    seconds: Seconds


class WorkerHealth(WireType):
    """Answer of GET /health, and the body of a lease renewal. The memory is that of the process, where it is known."""

    status: Literal["loading", "ready", "draining", "failed"]
    in_flight: Count
    queued: Count
    memory_bytes: ByteCount | None = None


class Prefetch(WireType):
    """Answer of POST /prefetch: whether preparing the image was begun. A busy worker does not begin."""

    begun: bool


KEPT_FAILURES = 5


class WorkerFailure(WireType):
    """When a worker failed, in seconds since the Unix epoch, and how: never with a word of what it was asked."""

    at: float
    code: ShortText
    message: ShortText


class WorkerInfo(WireType):
    """One row of GET /v1/workers. `queued` and `memory_bytes` are as last told; the newest error comes first."""

    worker_id: Identifier
    kind: Literal["tool", "planner"]
    name: ShortText
    version: ShortText
    checkpoint_sha256: Sha256 | None
    label: ShortText
    state: Literal["ready", "suspect"]
    outstanding: Count
    queued: Count
    concurrency: Concurrency
    completed: Count
    failed: Count
    memory_bytes: ByteCount | None
    last_errors: tuple[WorkerFailure, ...] = Field(max_length=KEPT_FAILURES)
    registered_at: float
