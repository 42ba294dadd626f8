"""The benchmark of the LLaVA planner: what it compares is what it says, and its model is one that the planner loads."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mmedagent.evaluation.planner_bench import measure_reading, measure_writing
from mmedagent.evaluation.random_llava import write_random_llava
from mmedagent.model_worker.llava.checkpoint import read_manifest
from mmedagent.model_worker.llava.weights import load_llava
from mmedagent.model_worker.llava.writer import PlanWriter
from mmedagent.protocol.plan import Plan, PlannerRequest
from mmedagent.serving.tool import PixelArray


def test_reading_compares_the_answer_with_the_plan_before_it_on_new_images() -> None:
    seen: list[tuple[int, bytes]] = []

    def read(request: PlannerRequest, image: PixelArray) -> NDArray[np.float32]:
        seen.append((len(request.steps), image.tobytes()))
        return np.array([len(request.steps)], np.float32)

    advanced: list[None] = []
    row = measure_reading(read, read, 3, lambda: advanced.append(None))
    assert [steps for steps, _ in seen] == [0, 1, 1] * 4
    assert len({image for _, image in seen}) == len(advanced) == 4
    assert row.equal
    assert row.ratio > 0

    other = measure_reading(read, lambda *_: np.zeros(1, np.float32), 1, lambda: None)
    assert not other.equal


def test_writing_compares_the_same_turns_one_by_one_and_at_once() -> None:
    turns = 4
    together = threading.Barrier(turns)
    calls: list[str] = []

    def reply(request: PlannerRequest, image: PixelArray) -> Plan:
        calls.append(request.messages[0].text + str(image.sum()))
        if len(calls) > turns:
            together.wait(20)
        return Plan(thoughts="", value=request.messages[0].text)

    row = measure_writing(reply, turns, 1, lambda: None)
    assert sorted(calls[:turns]) == sorted(calls[turns:])
    assert len(set(calls)) == turns
    assert row.equal
    assert row.gain == pytest.approx(row.one_by_one_s / row.together_s)


def test_the_random_model_is_a_planner_with_a_place_for_every_patch(tmp_path: Path) -> None:
    parameters = write_random_llava(tmp_path, layers=1, width=64, max_new_tokens=96, cache_mb=1)
    manifest = read_manifest(tmp_path)
    loaded = load_llava(tmp_path, manifest, "cpu")
    assert parameters == sum(one.numel() for one in loaded.model.parameters())
    PlanWriter(loaded, manifest, "").check()
