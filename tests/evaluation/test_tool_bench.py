"""The benchmark of tools: both sides get the same calls, every image is new, and the figures are those of what ran."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mmedagent.evaluation.tool_bench import CALLERS, Calls, Direct, Served, ToolRow, measure_tool, steps
from mmedagent.protocol.card import CardExample
from mmedagent.protocol.errors import InvalidParametersError, MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.blobs import FolderBlobStore
from mmedagent.serving.clients import WorkerClient, new_http_client
from mmedagent.serving.tool import Batching, ToolContext, ToolOutput
from mmedagent.serving.tool_service import HostedTool
from support.desk import MemoryBlobs
from support.system import WORKER_TOKEN
from support.tools import CallingTool, MaskTool, make_card
from support.worker import running_worker

NUMBER = 3
GRAY, RGB = np.zeros((8, 300), np.uint8), np.ones((6, 5, 3), np.uint8)


class CountingTool(MaskTool):
    """Keeps the images that it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        examples = (CardExample(ask="Show a.", parameters={"text": "a"}), CardExample(ask="?", parameters={"size": 1}))
        self.card = self.card.model_copy(update={"examples": examples, "modalities": ("CT",)})
        self.images: list[str] = []

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        self.images += [call.image.sha256 for call in calls if call.image]
        return super().run(calls, context)


async def test_a_tool_is_measured_directly_and_through_its_service(tmp_path: Path) -> None:
    here, there = CountingTool(), CountingTool()
    advanced: list[None] = []
    with running_worker(tmp_path, HostedTool(there, batching=Batching(8))) as worker:
        blobs = FolderBlobStore(tmp_path / "blobs")
        calls = Calls(here.card, {"CT": [GRAY], "MR": [RGB]}, blobs)
        served = Served(here, f"{str(worker.base_url).rstrip('/')}/mask", capacity=40)
        async with new_http_client() as http:
            client = WorkerClient(http, WORKER_TOKEN)
            direct = Direct({"mask": here}, blobs)
            row = await measure_tool(served, calls, direct, client, NUMBER, lambda: advanced.append(None))
    assert len(advanced) == steps(NUMBER)
    assert (row.tool, row.calls, row.callers) == ("mask", NUMBER, CALLERS)
    assert 0 < row.direct_p50_s <= row.direct_p95_s
    assert 0 < row.served_p50_s <= row.served_p95_s
    assert row.again_p50_s is not None
    assert row.ratio == pytest.approx(row.served_per_s / row.direct_per_s)
    assert len(set(here.images)) == len(here.images)
    alone = [image for image in there.images if image in here.images]
    assert sorted(alone) == sorted(2 * alone[::2]), "each of these was asked about once and again"
    assert len(set(there.images)) == len(there.images) - len(alone) // 2


def row(direct_s: float, overhead_s: float, ratio: float) -> ToolRow:
    return ToolRow("mask", 1, direct_s, direct_s, 0, 0, overhead_s, None, CALLERS, 10, 10 * ratio)


@pytest.mark.parametrize(
    ("direct_s", "overhead_s", "ratio", "good"),
    [(0.1, 0.0079, 0.9, True), (0.1, 0.0081, 2, False), (0.1, -0.1, 0.89, False), (0, 0.0029, 1, True)],
)
def test_good_is_what_stays_within_both_bounds(direct_s: float, overhead_s: float, ratio: float, good: bool) -> None:
    assert row(direct_s, overhead_s, ratio).good is good


def test_calls_are_what_the_card_allows() -> None:
    calls = Calls(CountingTool().card, {"MR": [RGB], "CT": [GRAY]}, MemoryBlobs()).take(300)
    assert {tuple(call.parameters) for call in calls} == {("text",), ()}
    assert {(call.image.width, call.image.height) for call in calls if call.image} == {(300, 8)}
    assert len({call.image.sha256 for call in calls if call.image}) == 300
    with pytest.raises(InvalidParametersError, match="no example"):
        Calls(make_card("odd", {"text": {"type": "string"}}, required=["text"]), {"CT": [GRAY]}, MemoryBlobs())


def test_a_tool_that_calls_another_does_so_in_the_same_process() -> None:
    calling, mask = CallingTool(), CountingTool()
    (call,) = Calls(mask.card, {"CT": [GRAY]}, blobs := MemoryBlobs()).take(1)
    outer = call.model_copy(update={"tool": "calling", "parameters": {"tool": "mask"}})
    (output,) = Direct({"calling": calling, "mask": mask}, blobs).run([outer])
    assert output.data == {"found": {"boxes": [[0.1, 0.2, 0.5, 0.75]], "text": "(8, 300)"}}
