"""Calls that are gathered into runs: sizes, waits, and that nobody pays for a neighbour who leaves or fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mmedagent.serving.tool import Batching
from mmedagent.serving.tool_service import HostedTool
from support.problems import assert_problem
from support.tools import PATIENCE_S, GatherTool, wait_until
from support.worker import call, metric, running_worker

FOREVER_S = 10 * PATIENCE_S
SHORT_S = 0.3


@dataclass
class Bench:
    """A worker with the gathering tool, and threads that call it."""

    tool: GatherTool
    client: httpx.Client
    threads: ThreadPoolExecutor

    def ask(self, text: str, deadline_s: float = PATIENCE_S, timeout_s: float = PATIENCE_S) -> Future[httpx.Response]:
        body = call("gather", deadline_s, text=text)
        return self.threads.submit(self.client.post, "/gather/invoke", json=body, timeout=timeout_s)

    def until(self, in_flight: int, queued: int) -> None:
        wanted = {"status": "ready", "in_flight": in_flight, "queued": queued}
        wait_until(
            lambda: self.client.get("/gather/health").json().items() >= wanted.items(),
            f"{in_flight} run and {queued} wait",
        )

    def hold(self) -> Future[httpx.Response]:
        """A call that keeps the tool busy until it is released."""
        first = self.ask("first")
        self.until(1, 0)
        return first

    def asked(self, texts: Sequence[str]) -> list[Future[httpx.Response]]:
        """Calls that wait behind the one that holds the tool, in this order."""
        answers = []
        for number, text in enumerate(texts, 1):
            answers.append(self.ask(text))
            self.until(1, number)
        return answers


@contextmanager
def running_bench(folder: Path, batching: Batching, hosted: Batching | None = None) -> Iterator[Bench]:
    tool = GatherTool(batching)
    with (
        running_worker(folder, HostedTool(tool, batching=hosted)) as client,
        ThreadPoolExecutor(32) as threads,
    ):
        yield Bench(tool, client, threads)


def texts_of(answers: Sequence[Future[httpx.Response]]) -> list[str]:
    return [answer.result(PATIENCE_S).json()["data"]["text"] for answer in answers]


@pytest.mark.parametrize(
    ("own", "profile", "runs"),
    [
        (Batching(), None, [["first"], ["a"], ["b"], ["c"], ["d"]]),
        (Batching(max_size=8), None, [["first"], ["a", "b", "c", "d"]]),
        (Batching(max_size=8), Batching(max_size=3), [["first"], ["a", "b", "c"], ["d"]]),
    ],
)
def test_calls_that_come_while_the_tool_is_busy_go_into_the_next_runs(
    tmp_path: Path, own: Batching, profile: Batching | None, runs: list[list[str]]
) -> None:
    with running_bench(tmp_path, own, profile) as bench:
        first = bench.hold()
        others = bench.asked(["a", "b", "c", "d"])
        bench.tool.release.set()
        assert texts_of([first, *others]) == ["first", "a", "b", "c", "d"]
        assert bench.tool.runs == runs
        assert metric(bench.client, "mmedagent_tool_batch_size_count", tool="gather") == len(runs)
        assert metric(bench.client, "mmedagent_tool_batch_size_sum", tool="gather") == 5
        assert metric(bench.client, "mmedagent_tool_wait_seconds_count", tool="gather") == 5
        bench.until(0, 0)


def test_whoever_is_alone_never_waits_for_others(tmp_path: Path) -> None:
    with running_bench(tmp_path, Batching(max_size=8, max_wait_s=FOREVER_S)) as bench:
        bench.tool.release.set()
        assert texts_of([bench.ask("a")]) == ["a"]
        assert texts_of([bench.ask("b")]) == ["b"]
        assert bench.tool.runs == [["a"], ["b"]]


def test_a_run_waits_for_as_many_as_the_one_before_it_had(tmp_path: Path) -> None:
    with running_bench(tmp_path, Batching(max_size=8, max_wait_s=FOREVER_S)) as bench:
        first = bench.hold()
        others = bench.asked(["a", "b"])
        bench.tool.release.set()
        assert texts_of([first, *others]) == ["first", "a", "b"]
        early = bench.ask("c")
        bench.until(0, 1)
        late = bench.ask("d")
        assert texts_of([early, late]) == ["c", "d"]
        assert bench.tool.runs == [["first"], ["a", "b"], ["c", "d"]]


def test_a_run_does_not_wait_longer_than_it_may(tmp_path: Path) -> None:
    with running_bench(tmp_path, Batching(max_size=8, max_wait_s=0.01)) as bench:
        first = bench.hold()
        others = bench.asked(["a", "b"])
        bench.tool.release.set()
        texts_of([first, *others])
        assert texts_of([bench.ask("c")]) == ["c"]
        assert bench.tool.runs[-1] == ["c"]


def test_so_many_runs_wait_and_one_more_call_is_refused(tmp_path: Path) -> None:
    with running_bench(tmp_path, Batching(max_size=2)) as bench:
        first = bench.hold()
        others = bench.asked(list("abcdefgh"))
        assert_problem(bench.ask("i").result(PATIENCE_S), 429, "overloaded")
        bench.tool.release.set()
        assert texts_of([first, *others]) == ["first", *"abcdefgh"]


def test_who_leaves_the_queue_is_left_out_of_the_run(tmp_path: Path) -> None:
    with running_bench(tmp_path, Batching(max_size=8)) as bench:
        first = bench.hold()
        stays = bench.ask("a")
        bench.until(1, 1)
        leaves = bench.ask("b", timeout_s=SHORT_S)
        late = bench.ask("c", deadline_s=SHORT_S)
        with pytest.raises(httpx.ReadTimeout):
            leaves.result(PATIENCE_S)
        assert "queue" in assert_problem(late.result(PATIENCE_S), 504, "deadline_exceeded")
        bench.until(1, 1)
        bench.tool.release.set()
        assert texts_of([first, stays]) == ["first", "a"]
        assert bench.tool.runs == [["first"], ["a"]]


@pytest.mark.parametrize("leaves_by", ["timeout", "deadline"])
def test_who_leaves_during_the_run_does_not_spoil_it(tmp_path: Path, leaves_by: str) -> None:
    with running_bench(tmp_path, Batching(max_size=8)) as bench:
        first = bench.hold()
        (stays,) = bench.asked(["a"])
        times = {"timeout_s": 1.0} if leaves_by == "timeout" else {"deadline_s": 1.0}
        leaves = bench.ask("linger", **times)
        bench.until(1, 2)
        bench.tool.release.set()
        assert bench.tool.lingering.wait(PATIENCE_S)
        assert texts_of([first, stays]) == ["first", "a"]
        assert bench.tool.runs == [["first"], ["a", "linger"], ["a"]]
        if leaves_by == "deadline":
            assert_problem(leaves.result(PATIENCE_S), 504, "deadline_exceeded")
        else:
            with pytest.raises(httpx.ReadTimeout):
                leaves.result(PATIENCE_S)
        bench.until(0, 0)


@pytest.mark.parametrize("running", [False, True], ids=["in the queue", "at work"])
def test_everybody_hears_of_their_deadline(tmp_path: Path, running: bool) -> None:
    with running_bench(tmp_path, Batching(max_size=16)) as bench:
        first = bench.hold()
        others = [bench.ask("linger", deadline_s=1.0) for _ in range(12)]
        bench.until(1, 12)
        if running:
            bench.tool.release.set()
            assert bench.tool.lingering.wait(PATIENCE_S)
        for other in others:
            assert_problem(other.result(PATIENCE_S), 504, "deadline_exceeded")
        bench.tool.release.set()
        assert texts_of([first]) == ["first"]
        bench.until(0, 0)


def test_an_error_in_place_of_a_result_is_one_callers_alone(tmp_path: Path) -> None:
    with running_bench(tmp_path, Batching(max_size=8)) as bench:
        bench.hold()
        good, bad, fine = bench.asked(["a", "fail", "b"])
        bench.tool.release.set()
        assert texts_of([good, fine]) == ["a", "b"]
        assert_problem(bad.result(PATIENCE_S), 502, "worker_failed")


def test_an_error_of_the_run_is_that_of_all_its_callers(tmp_path: Path) -> None:
    with running_bench(tmp_path, Batching(max_size=8)) as bench:
        bench.hold()
        answers = bench.asked(["a", "crash", "b"])
        bench.tool.release.set()
        for answer in answers:
            assert "secret" not in assert_problem(answer.result(PATIENCE_S), 502, "worker_failed")
        assert texts_of([bench.ask("next")]) == ["next"]
        bench.until(0, 0)
