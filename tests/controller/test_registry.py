"""Who is listed, who is trusted, and who is chosen."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import pytest

from mmedagent.controller.registry import (
    BREAKER_PAUSE_S,
    BREAKER_RUN,
    BREAKER_WINDOW_S,
    Breaker,
    Registry,
    Worker,
)
from mmedagent.protocol.errors import (
    CancelledError,
    DeadlineError,
    ForbiddenError,
    InvalidParametersError,
    MMedAgentError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    WorkerError,
)
from mmedagent.protocol.workers import (
    KEPT_FAILURES,
    PlannerCard,
    PlannerOffer,
    ToolOffer,
    WorkerHealth,
    WorkerRegistration,
)
from support.tools import make_card

LEASE_S = 6.0


@dataclass
class Clock:
    """Time that passes when the test says so, in seconds."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(clock: Clock) -> Registry:
    return Registry(["127.0.0.1", "worker.test"], LEASE_S, clock)


def tool(port: int, name: str = "echo", concurrency: int = 1, host: str = "127.0.0.1") -> WorkerRegistration:
    return WorkerRegistration(
        url=f"http://{host}:{port}/{name}", offer=ToolOffer(card=make_card(name)), concurrency=concurrency
    )


def planner(port: int, name: str = "compact", adapters: tuple[str, ...] = ()) -> WorkerRegistration:
    card = PlannerCard(name=name, backend="compact", version="1.0.0", adapters=adapters)
    return WorkerRegistration(url=f"http://127.0.0.1:{port}/planner", offer=PlannerOffer(card=card), concurrency=2)


def worker(registry: Registry, worker_id: str) -> Worker:
    return next(one for one in registry.workers() if one.worker_id == worker_id)


def fail(one: Worker, error: MMedAgentError | None = None) -> None:
    error = error or WorkerError("It failed.")
    with pytest.raises(type(error)), one.working():
        raise error


def work(one: Worker) -> None:
    with one.working():
        assert one.outstanding > 0


def test_a_lease_lasts_as_long_as_it_is_renewed(registry: Registry, clock: Clock) -> None:
    lease = registry.register(tool(1))
    assert lease.seconds == LEASE_S
    for _ in range(5):
        clock.advance(LEASE_S * 0.9)
        registry.renew(lease.worker_id)
    assert set(registry.tools()) == {"echo"}
    clock.advance(LEASE_S * 1.01)
    assert registry.tools() == {}
    with pytest.raises(NotFoundError):
        registry.renew(lease.worker_id)
    with pytest.raises(UnavailableError):
        registry.pick("echo")


def test_a_worker_is_shown_with_what_it_told_last_and_its_last_failures(registry: Registry) -> None:
    lease = registry.register(tool(1))
    one = worker(registry, lease.worker_id)
    assert (one.info().queued, one.info().memory_bytes, one.info().last_errors) == (0, None, ())
    registry.renew(lease.worker_id, WorkerHealth(status="ready", in_flight=1, queued=3, memory_bytes=2**30))
    assert (one.info().queued, one.info().memory_bytes) == (3, 2**30)
    for _ in range(KEPT_FAILURES):
        fail(one, WorkerError("The scan of file-1 failed."))
    fail(one, DeadlineError("It took too long."))
    errors = one.info().last_errors
    assert [error.code for error in errors] == ["deadline_exceeded"] + ["worker_failed"] * (KEPT_FAILURES - 1)
    assert "file-1" not in one.info().model_dump_json()
    assert errors[0].at >= errors[-1].at > 0


def test_a_worker_that_leaves_or_comes_back_is_listed_once(registry: Registry) -> None:
    first = registry.register(tool(1))
    second = registry.register(tool(1))
    assert [one.worker_id for one in registry.workers()] == [second.worker_id]
    with pytest.raises(NotFoundError):
        registry.renew(first.worker_id)
    registry.remove(first.worker_id)
    assert len(registry.workers()) == 1
    registry.remove(second.worker_id)
    registry.remove(second.worker_id)
    assert registry.workers() == []


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "127.0.0.2", "worker.test.evil"])
def test_only_hosts_that_are_allowed_register(registry: Registry, host: str) -> None:
    with pytest.raises(ForbiddenError):
        registry.register(tool(1, host=host))
    registry.register(tool(1, host="worker.test"))


def test_a_call_goes_where_the_least_is_outstanding_for_its_size(registry: Registry) -> None:
    small = worker(registry, registry.register(tool(1)).worker_id)
    large = worker(registry, registry.register(tool(2, concurrency=4)).worker_id)
    small.outstanding, large.outstanding = 1, 3
    assert registry.pick("echo") is large
    large.outstanding = 4
    small.outstanding = 0
    assert registry.pick("echo") is small
    assert registry.pick("echo", exclude=frozenset({small.worker_id})) is large


def test_idle_replicas_take_turns_even_when_one_fails(registry: Registry) -> None:
    one = worker(registry, registry.register(tool(1)).worker_id)
    other = worker(registry, registry.register(tool(2)).worker_id)
    for _ in range(3):
        picked = registry.pick("echo")
        (fail if picked is one else work)(picked)
    assert one.failed in (1, 2)
    assert one.failed + other.completed == 3


def test_an_unreachable_worker_is_suspect_until_it_has_renewed_twice(registry: Registry) -> None:
    lease = registry.register(tool(1))
    one = worker(registry, lease.worker_id)
    fail(one, UnavailableError("It cannot be reached."))
    assert one.info().state == "suspect"
    assert registry.tools() == {}
    registry.renew(lease.worker_id)
    assert one.info().state == "suspect"
    registry.renew(lease.worker_id)
    assert one.info().state == "ready"
    assert registry.pick("echo") is one


def test_five_failures_in_a_row_open_the_breaker_for_a_while(registry: Registry, clock: Clock) -> None:
    one = worker(registry, registry.register(tool(1)).worker_id)
    for _ in range(BREAKER_RUN - 1):
        fail(one, DeadlineError("It took too long."))
    work(one)
    for _ in range(BREAKER_RUN):
        assert one.ready
        fail(one)
    assert not one.ready
    clock.advance(BREAKER_PAUSE_S)
    assert one.ready
    fail(one)
    assert not one.ready
    clock.advance(BREAKER_PAUSE_S)
    work(one)
    assert one.ready
    assert (one.outstanding, one.completed, one.failed) == (0, 2, 2 * BREAKER_RUN)


def test_half_of_ten_calls_open_the_breaker_unless_they_are_old() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for number in range(9):
        breaker.note(ok=number % 2 == 1)
    assert breaker.closed
    breaker.note(ok=True)
    breaker.note(ok=False)
    assert not breaker.closed
    fresh = Breaker(clock)
    for number in range(9):
        fresh.note(ok=number % 2 == 1)
    clock.advance(BREAKER_WINDOW_S + 1)
    fresh.note(ok=False)
    assert fresh.closed


@pytest.mark.parametrize(
    "error",
    [OverloadedError("Full."), InvalidParametersError("Wrong."), NotFoundError("Gone."), CancelledError("Left.")],
)
def test_a_worker_is_not_blamed_for_what_is_not_its_fault(registry: Registry, error: MMedAgentError) -> None:
    one = worker(registry, registry.register(tool(1)).worker_id)
    for _ in range(20):
        fail(one, error)
    assert one.ready
    assert (one.outstanding, one.failed) == (0, 0)


def test_what_is_outstanding_is_counted_whatever_happens(registry: Registry) -> None:
    one = worker(registry, registry.register(tool(1)).worker_id)
    with suppress(asyncio.CancelledError), one.working():
        assert one.outstanding == 1
        raise asyncio.CancelledError
    assert (one.outstanding, one.completed, one.failed) == (0, 0, 0)


def test_an_adapter_is_a_model_of_the_planners_that_have_it(registry: Registry) -> None:
    registry.register(planner(1, "llava", ("chest",)))
    registry.register(planner(2, "llava", ("chest", "eye")))
    registry.register(planner(3, "llava-small"))
    assert list(registry.models()) == ["llava", "llava-small", "llava:chest", "llava:eye"]
    assert registry.planner_name() == "planner/llava"
    name = registry.planner_name("llava:eye")
    picked = registry.pick(name)
    assert picked.url.endswith(":2/planner")
    assert picked.names[name] == "eye"
    with pytest.raises(UnavailableError):
        registry.pick(name, exclude=frozenset({picked.worker_id}))
    assert {registry.pick("planner/llava", frozenset({picked.worker_id})).url[-10:-8]} == {":1"}
    with pytest.raises(NotFoundError, match="llava:chest, llava:eye"):
        registry.planner_name("llava:heart")


def test_planners_are_found_by_their_model_name(registry: Registry) -> None:
    with pytest.raises(UnavailableError):
        registry.planner_name()
    registry.register(planner(1))
    registry.register(planner(2, "llava"))
    registry.register(tool(3, "compact"))
    assert registry.planner_name("llava") == "planner/llava"
    assert registry.planner_name() == "planner/compact"
    assert registry.pick("planner/llava").url.endswith(":2/planner")
    with pytest.raises(NotFoundError, match="compact, llava"):
        registry.planner_name("echo")
    assert set(registry.tools()) == {"compact"}
    info = worker(registry, registry.pick("planner/llava").worker_id).info()
    assert (info.kind, info.name, info.state) == ("planner", "llava", "ready")
