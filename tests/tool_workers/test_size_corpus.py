"""Images of odd sizes and forms against every image tool: a result that follows the card, or a typed error."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from PIL import Image
from pydicom.data import get_testdata_file

from mmedagent.imaging.decode import decode_file
from mmedagent.protocol.errors import MMedAgentError
from mmedagent.protocol.invocation import ImageRef, ToolCall
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.tool import Tool, ToolOutput
from mmedagent.tool_workers.classification import ClassificationTool
from mmedagent.tool_workers.grounding import GroundingTool
from mmedagent.tool_workers.report_generation import ReportGenerationTool
from mmedagent.tool_workers.segmentation import SegmentationTool
from support.desk import desk

MODELS = Path(__file__).parents[2] / "models"
PARAMETERS: dict[str, JsonObject] = {
    "segmentation": {"boxes": [[0.1, 0.1, 0.9, 0.9], [0.0, 0.0, 1.0, 1.0]]},
    "grounding": {"prompts": ["liver", "optic disc"], "threshold": 0.05},
    "classification": {"task": "modality"},
    "report_generation": {},
}


def raster(mode: str, width: int, height: int, form: str = "PNG") -> bytes:
    """A picture with a gradient in one of Pillow's modes."""
    ramp = np.linspace(0, 255, width * height).reshape(height, width)
    if mode == "I;16":
        picture = Image.fromarray((ramp * 257).astype(np.uint16))
    else:
        picture = Image.fromarray(ramp.astype(np.uint8)).convert("RGB").convert(mode)
    file = io.BytesIO()
    picture.save(file, form)
    return file.getvalue()


def dicom(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert path is not None
    return Path(str(path)).read_bytes()


CORPUS: dict[str, Callable[[], bytes]] = {
    "1x1": lambda: raster("L", 1, 1),
    "1x300": lambda: raster("L", 1, 300),
    "300x1": lambda: raster("L", 300, 1),
    "16 bit": lambda: raster("I;16", 60, 40),
    "palette": lambda: raster("P", 60, 40),
    "CMYK": lambda: raster("CMYK", 60, 40, "JPEG"),
    "alpha": lambda: raster("RGBA", 60, 40),
    "8000 px": lambda: raster("L", 8000, 900),
    "MONOCHROME1": lambda: dicom("JPEG2000.dcm"),
    "multi-frame": lambda: dicom("examples_ybr_color.dcm"),
    "palette DICOM": lambda: dicom("examples_palette.dcm"),
}


@pytest.fixture(scope="module")
def tools() -> list[Tool]:
    torch.set_num_threads(1)
    made: list[Tool] = [
        kind(checkpoint=MODELS / name)
        for kind, name in (
            (SegmentationTool, "segmentation"),
            (GroundingTool, "grounding"),
            (ClassificationTool, "classification"),
            (ReportGenerationTool, "report_generation"),
        )
    ]
    for tool in made:
        tool.load("cpu")
    return made


@pytest.mark.parametrize("name", CORPUS)
def test_every_tool_gives_a_result_or_a_typed_error(tools: list[Tool], name: str, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(CORPUS[name]())
    pixels = decode_file(path).frame.pixels
    image = ImageRef(sha256="0" * 64, source_sha256="0" * 64, width=pixels.shape[1], height=pixels.shape[0])
    for tool in tools:
        asked = ToolCall(
            call_id="call", tool=tool.card.name, parameters=PARAMETERS[tool.card.name], image=image, deadline_s=60,
            correlation_id="test",
        )  # fmt: skip
        (outcome,) = tool.run([asked], desk(pixels, calls=[asked]))
        assert isinstance(outcome, ToolOutput | MMedAgentError), tool.card.name
        if isinstance(outcome, ToolOutput):
            Draft202012Validator(tool.card.result).validate(outcome.data)
