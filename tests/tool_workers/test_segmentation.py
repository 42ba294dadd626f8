"""The segmentation tool around its network: one encoding an image, one outcome a call, and what goes with a result."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mmedagent.evaluation.half_precision import compare
from mmedagent.imaging.png import encode_frame
from mmedagent.networks.sam import MedSam, SamConfig, build_sam
from mmedagent.protocol.errors import CancelledError, InvalidParametersError, NotFoundError
from mmedagent.protocol.invocation import ImageRef, ToolCall
from mmedagent.serving.blobs import FolderBlobStore
from mmedagent.serving.schemas import CardValidator
from mmedagent.serving.tool import Batching, ToolOutput
from mmedagent.serving.tool_service import HostedTool
from mmedagent.tool_workers.segmentation import SegmentationTool
from support.desk import desk
from support.tools import wait_until
from support.worker import call as call_of
from support.worker import metric, running_worker

CHECKPOINT = Path(__file__).parents[2] / "models" / "segmentation"
SIDE = 128
TINY = SamConfig(64, 8, 32, 2, 2, 4, (1,), 32, 64)
BOXES: list[list[float]] = [[0.2, 0.25, 0.6, 0.7], [0.55, 0.1, 0.9, 0.5], [0.1, 0.6, 0.5, 0.95]]


def picture(seed: int = 0) -> NDArray[np.uint8]:
    """Bright discs in the first two boxes on a dark, noisy ground."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(60, 8, (SIDE, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    for x1, y1, x2, y2 in BOXES[:2]:
        inside = ((columns - (x1 + x2) / 2) / (x2 - x1)) ** 2 + ((rows - (y1 + y2) / 2) / (y2 - y1)) ** 2 < 0.22
        pixels[inside] += 110
    return pixels.clip(0, 255).astype(np.uint8)


def image(sha256: str = "0" * 64) -> ImageRef:
    spacing = {"spacing_mm": (0.5, 0.25), "spacing_source": "PixelSpacing"}
    return ImageRef.model_validate(
        {"sha256": sha256, "source_sha256": "f" * 64, "width": SIDE, "height": SIDE, **spacing}
    )


def call(about: ImageRef | None = None, callers: tuple[str, ...] = (), **parameters: Any) -> ToolCall:
    return ToolCall(
        call_id="call_1",
        tool="segmentation",
        parameters=parameters,
        image=about or image(),
        deadline_s=30,
        correlation_id="test",
        callers=callers,
    )


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tool() -> SegmentationTool:
    loaded = SegmentationTool(checkpoint=CHECKPOINT)
    loaded.load("cpu")
    return loaded


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[httpx.Client]:
    hosted = HostedTool(SegmentationTool(checkpoint=CHECKPOINT), batching=Batching(max_size=4))
    with running_worker(tmp_path, hosted) as client:
        yield client


def uploaded(folder: Path, seed: int = 0) -> dict[str, Any]:
    sha256 = FolderBlobStore(folder / "blobs").put(encode_frame(picture(seed)))
    return image(sha256).model_dump(mode="json")


def outline(client: httpx.Client, about: dict[str, Any], *boxes: list[float]) -> dict[str, Any]:
    answer = client.post("/segmentation/invoke", json={**call_of("segmentation", boxes=list(boxes)), "image": about})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def encodings(client: httpx.Client) -> tuple[float, float]:
    """How many images were encoded, and how often one was already."""
    name, cache = "mmedagent_cache_requests_total", "segmentation"
    return metric(client, name, cache=cache, outcome="miss"), metric(client, name, cache=cache, outcome="hit")


def test_an_image_is_encoded_once_for_all_its_prompts(tmp_path: Path, worker: httpx.Client) -> None:
    first, second = uploaded(tmp_path), uploaded(tmp_path, seed=1)
    results = [outline(worker, first, box) for box in BOXES]
    assert encodings(worker) == (1, 2)
    outline(worker, second, BOXES[0])
    assert encodings(worker) == (2, 2)
    together = outline(worker, first, *BOXES)
    assert [row["artifact"] for row in together["data"]["masks"]] == [
        result["data"]["masks"][0]["artifact"] for result in results
    ]


def test_callers_at_the_same_time_share_the_encoding(tmp_path: Path, worker: httpx.Client) -> None:
    about = uploaded(tmp_path)
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda box: outline(worker, about, box), [*BOXES, BOXES[0]]))
    assert encodings(worker) == (1, 3)
    assert results[0]["data"] == results[3]["data"]


def test_an_image_that_was_offered_is_encoded_before_it_is_asked_about(tmp_path: Path, worker: httpx.Client) -> None:
    about = uploaded(tmp_path)
    assert worker.post("/segmentation/prefetch", json=about).json() == {"begun": True}
    name = "mmedagent_tool_prefetches_total"
    wait_until(lambda: metric(worker, name, tool="segmentation", outcome="done") == 1, "it is prepared")
    outline(worker, about, BOXES[0])
    assert encodings(worker) == (1, 1)


def test_a_batch_has_an_outcome_a_call(tool: SegmentationTool) -> None:
    lost = image("1" * 64)
    calls = [
        call(boxes=BOXES[:2]),
        call(boxes=[[0.5, 0.5, 0.4, 0.6]]),
        call(lost, boxes=BOXES),
        call(boxes=BOXES, points=[[0.5, 0.5, 1]]),
        call(points=[[0.4, 0.47, 1]]),
    ]
    outcomes = tool.run(calls, desk(picture(), calls=calls))
    kinds = [ToolOutput, InvalidParametersError, NotFoundError, InvalidParametersError, ToolOutput]
    assert [type(outcome) for outcome in outcomes] == kinds


def test_a_result_is_measured_and_shown(tool: SegmentationTool) -> None:
    asked = call(boxes=BOXES[:2])
    (outcome,) = tool.run([asked], desk(picture(), calls=[asked]))
    assert isinstance(outcome, ToolOutput)
    CardValidator(tool.card).check_result(outcome.data)
    masks: Any = outcome.data["masks"]
    for row in masks:
        assert row["area_px"] > 0
        assert row["area_mm2"] == pytest.approx(row["area_px"] * 0.125, abs=0.001)
    assert [(one.kind, one.label) for one in outcome.artifacts] == [
        ("mask", "mask 1"),
        ("mask", "mask 2"),
        ("overlay", "segmentation"),
    ]


def test_for_another_tool_only_the_masks_are_made(tool: SegmentationTool) -> None:
    asked = call(callers=("grounded_segmentation",), boxes=BOXES[:2])
    (outcome,) = tool.run([asked], desk(picture(), calls=[asked]))
    assert isinstance(outcome, ToolOutput)
    assert [one.kind for one in outcome.artifacts] == ["mask", "mask"]


def test_where_all_pixels_are_alike_there_is_nothing_to_outline(tool: SegmentationTool) -> None:
    half_blank = picture()
    half_blank[:, SIDE // 2 :] = 0
    blank, seen = [0.55, 0.1, 0.9, 0.5], BOXES[0]
    asked = call(boxes=[blank, seen])
    (outcome,) = tool.run([asked], desk(half_blank, calls=[asked]))
    assert isinstance(outcome, ToolOutput)
    rows: Any = outcome.data["masks"]
    assert (rows[0]["area_px"], rows[0]["box"], rows[0]["area_mm2"]) == (0, None, 0)
    assert rows[1]["area_px"] > 0
    everywhere = call(points=[[0.5, 0.5, 1]])
    (outcome,) = tool.run([everywhere], desk(np.zeros((SIDE, SIDE), np.uint8), calls=[everywhere]))
    assert isinstance(outcome, ToolOutput)
    assert outcome.data["masks"][0]["area_px"] == 0  # type: ignore[index,call-overload]


def test_a_caller_who_has_left_is_not_worked_for(tool: SegmentationTool) -> None:
    asked = call(boxes=BOXES[:1])
    (outcome,) = tool.run([asked], desk(picture(), calls=[asked], gone=True))
    assert isinstance(outcome, CancelledError)


def test_half_precision_outlines_the_same() -> None:
    """What a GPU computes in 16 bits, torch can compute so on a CPU as well, only slowly."""
    exact, *halves = compare(CHECKPOINT, "cpu", [("fp32", False), ("bf16", False), ("fp16", False)], 2)
    assert (exact.least_overlap, exact.score_difference) == (1, 0)
    for half in halves:
        assert half.good, half
        assert half.score_difference > 0, "it was computed in another precision"


def test_a_compiled_encoder_gives_the_same() -> None:
    """Traced as for a GPU, and then run by torch itself, because a CPU need not have a compiler."""
    torch.manual_seed(0)
    network = MedSam(build_sam(TINY), TINY, "0" * 64)
    plain = network.embed(picture()).features
    network.sam.image_encoder = torch.compile(network.sam.image_encoder, backend="aot_eager")
    torch.testing.assert_close(network.embed(picture()).features, plain)
