"""Segmenting by name: a small grounding tool and the real segmentation, put together behind a real controller."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from mmedagent.imaging.masks import decode_mask
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import MMedAgentError, WorkerError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import Tool, ToolContext, ToolOutput
from mmedagent.tool_workers.grounded_segmentation import MAX_OBJECTS, GroundedSegmentationTool
from mmedagent.tool_workers.segmentation import SegmentationTool
from support.images import CT_SIDE, ct_bytes, png_bytes
from support.problems import assert_problem
from support.script import action, answer, rule, told
from support.system import System, running_system
from support.worker import metric

CHECKPOINT = Path(__file__).parents[2] / "models" / "segmentation"
PLACES = {"body": [0.25, 0.05, 0.75, 0.7], "table": [0.1, 0.72, 0.9, 0.95]}
RULES = [
    told("Segment", action("grounding dino + MedSAM", prompts=["body", "table"])),
    rule("", answer("Fine.")),
]


class PlacesTool:
    """Finds what is in `PLACES`; `many` is everywhere, `smoke` means that the tool is on fire."""

    def __init__(self) -> None:
        self.card = load_card("grounding")
        self.calls: list[ToolCall] = []

    def load(self, device: str) -> None:
        return

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        self.calls.extend(calls)
        return [self._one(call, context) for call in calls]

    def _one(self, call: ToolCall, context: ToolContext) -> ToolOutput | MMedAgentError:
        prompts: Any = call.parameters["prompts"]
        if "smoke" in prompts:
            return WorkerError("The detector is on fire.")
        assert call.image is not None
        context.frame(call.image)
        rows = [(PLACES[name], 0.9, name) for name in prompts if name in PLACES]
        if "many" in prompts:
            rows = [([0.2, 0.2, 0.3 + number / 1_000, 0.4], number / 100, f"{number}") for number in range(100)]
        names = ("boxes", "scores", "phrases")
        data: dict[str, Any] = {name: [row[column] for row in rows] for column, name in enumerate(names)}
        return ToolOutput(data)


@pytest.fixture(scope="module")
def places() -> PlacesTool:
    return PlacesTool()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, places: PlacesTool) -> Iterator[System]:
    torch.set_num_threads(1)
    tools: list[Tool] = [places, SegmentationTool(checkpoint=CHECKPOINT), GroundedSegmentationTool(checkpoint=None)]
    with running_system(tmp_path_factory.mktemp("system"), RULES, tools, concurrency=1) as running:
        yield running


@pytest.fixture(scope="module")
def file_id(system: System) -> str:
    return system.upload(ct_bytes())


def ask(system: System, file_id: str, *prompts: str, **parameters: Any) -> httpx.Response:
    body = {"file_id": file_id, "parameters": {"prompts": prompts, **parameters}}
    return system.http.post("/v1/tools/grounded_segmentation/invoke", json=body)


def test_what_was_named_is_found_and_outlined(system: System, file_id: str) -> None:
    result = ask(system, file_id, "body", "unicorn", "table").json()
    data = result["data"]
    assert data["boxes"] == list(PLACES.values())
    assert (data["scores"], data["phrases"]) == ([0.9, 0.9], ["body", "table"])
    assert data["spacing_mm"] == [0.661468, 0.661468]
    *masks, overlay = result["artifacts"]
    assert [(mask["kind"], mask["label"]) for mask in masks] == [("mask", "body"), ("mask", "table")]
    assert [mask["sha256"] for mask in masks] == [row["artifact"] for row in data["masks"]]
    for mask, row in zip(masks, data["masks"], strict=True):
        content = system.http.get(f"/v1/artifacts/{mask['sha256']}").content
        assert decode_mask(content).sum() == row["area_px"] > 0
    picture = Image.open(io.BytesIO(system.http.get(f"/v1/artifacts/{overlay['sha256']}").content))
    assert picture.size == (4 * CT_SIDE, 4 * CT_SIDE)
    assert np.ptp(np.asarray(picture).astype(int), axis=2).max() > 100, "there is colour over the gray image"


def test_the_result_says_what_it_rests_on(system: System, file_id: str) -> None:
    provenance = ask(system, file_id, "body").json()["provenance"]
    assert (provenance["tool"], provenance["checkpoint_sha256"]) == ("grounded_segmentation", None)
    found, outlined = provenance["parts"]
    assert (found["tool"], outlined["tool"]) == ("grounding", "segmentation")
    weights = json.loads((CHECKPOINT / "config.json").read_text())["sha256"]
    assert outlined["checkpoint_sha256"] == weights
    assert {tuple(part["input_sha256"]) for part in (provenance, found, outlined)} == {
        tuple(provenance["input_sha256"])
    }


def test_the_image_is_decoded_once_and_encoded_once(system: System) -> None:
    with httpx.Client(base_url=system.workers["tools"].url, trust_env=False) as worker:

        def misses() -> dict[str, float]:
            name = "mmedagent_cache_requests_total"
            return {
                cache: metric(worker, name, cache=cache, outcome="miss") for cache in ("display frames", "segmentation")
            }

        before = misses()
        file_id = system.upload(png_bytes(64, 48))
        for prompts in (("body",), ("table", "body")):
            assert ask(system, file_id, *prompts).status_code == 200
        assert {cache: count - before[cache] for cache, count in misses().items()} == {
            "display frames": 1,
            "segmentation": 1,
        }


def test_nothing_found_is_a_result(system: System, file_id: str) -> None:
    result = ask(system, file_id, "unicorn").json()
    empty: dict[str, Any] = {"boxes": [], "scores": [], "phrases": [], "masks": []}
    assert result["data"] == {**empty, "spacing_mm": [0.661468, 0.661468], "spacing_source": "PixelSpacing"}
    assert result["artifacts"] == []
    assert [part["tool"] for part in result["provenance"]["parts"]] == ["grounding"]


def test_the_most_certain_of_too_many_are_outlined(system: System, file_id: str) -> None:
    data = ask(system, file_id, "many").json()["data"]
    assert len(data["masks"]) == MAX_OBJECTS
    assert data["scores"] == [number / 100 for number in range(99, 35, -1)]


def test_the_threshold_is_that_of_grounding(system: System, file_id: str, places: PlacesTool) -> None:
    ask(system, file_id, "body", threshold=0.7)
    assert places.calls[-1].parameters == {"prompts": ["body"], "threshold": 0.7}
    ask(system, file_id, "body")
    assert places.calls[-1].parameters == {"prompts": ["body"]}


def test_a_failure_of_a_part_is_one_of_the_whole(system: System, file_id: str) -> None:
    assert "on fire" in assert_problem(ask(system, file_id, "smoke"), 502, "worker_failed")


def test_it_works_from_chat(system: System, file_id: str) -> None:
    message = {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Segment the body and the table"},
            {"type": "input_image", "file_id": file_id},
        ],
    }
    response = system.http.post("/v1/responses", json={"input": [message]}).json()
    (item,) = [item for item in response["output"] if item["type"] == "mcp_call"]
    assert (item["name"], item["status"]) == ("grounded_segmentation", "completed")
    assert json.loads(item["output"])["data"]["phrases"] == ["body", "table"]
