"""Doctors who never answer: they keep a thread each, and there are only so many."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mmedagent.protocol.errors import DeadlineError, OverloadedError
from mmedagent.tool_workers.consultation.waiting import Threads, as_they_come
from support.tools import PATIENCE_S, wait_until


def test_deaf_doctors_keep_their_threads_and_no_more_are_made() -> None:
    threads, release = Threads(most=3), threading.Event()

    def deaf() -> str:
        assert release.wait(PATIENCE_S)
        return "late"

    def quick() -> str:
        return "at once"

    def outcomes(*tasks: Callable[[], str], deadline_s: float = PATIENCE_S) -> list[object]:
        found = as_they_come(tasks, deadline_s, lambda: None, threads)
        return [type(one.outcome) if isinstance(one.outcome, Exception) else one.outcome for one in found]

    assert outcomes(deaf, deaf, deadline_s=0.05) == [DeadlineError, DeadlineError]
    assert outcomes(quick) == ["at once"], "one thread is left"
    wait_until(lambda: outcomes(deaf, deadline_s=0.05) == [DeadlineError], "the quick one has given its thread back")
    assert outcomes(quick, deaf, quick) == [OverloadedError] * 3, "nobody waits for a thread"
    release.set()
    wait_until(lambda: outcomes(quick) == ["at once"], "the deaf ones give their threads back")


def test_a_doctor_for_whom_the_system_has_no_thread_is_refused_and_leaves_room() -> None:
    threads = Threads(most=1)

    def outcome() -> object:
        (only,) = as_they_come([lambda: "here"], PATIENCE_S, lambda: None, threads)
        return only.outcome

    usual = threading.stack_size(2**60)
    try:
        assert isinstance(outcome(), OverloadedError)
    finally:
        threading.stack_size(usual)
    assert outcome() == "here"
