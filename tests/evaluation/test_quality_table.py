"""The whole table: ablations, shuffled checkpoints, what it looks like, and a quick run on the shipped tools."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from mmedagent.cli.main import app
from mmedagent.evaluation.tool_quality.cases import Case
from mmedagent.evaluation.tool_quality.figures import Figure, QualityTable, Target, ToolFigures
from mmedagent.evaluation.tool_quality.shuffle import shuffled_copy
from mmedagent.evaluation.tool_quality.suite import NO_IMAGE, SHUFFLED, Conditions, Material, measure_tool
from mmedagent.evaluation.tool_quality.table import as_markdown, as_rich
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput
from support.quality_tools import WrittenTool

TABLE = QualityTable(
    profile="embedded",
    quick=False,
    seconds=3,
    tools=(
        ToolFigures(
            tool="classification",
            figures=(
                Figure(name="modality", value=0.5, count=4, target=Target(bound=0.98), ablations={NO_IMAGE: 0.25}),
                Figure(name="ct", value=1.0, count=2, part_of="modality"),
                Figure(name="time", value=12.25, unit="ms", target=Target(bound=50, at_least=False)),
                Figure(name="Dice", value=None, unit="Dice", target=Target(bound=0.9)),
            ),
        ),
        ToolFigures(tool="grounding", missing="not in the profile embedded"),
    ),
)


def test_markdown_names_every_miss() -> None:
    assert as_markdown(TABLE).splitlines() == [
        "| tool | figure | value | target | met | n | no image |",
        "|---|---|---|---|---|---|---|",
        "| classification | modality | 50.0 % | ≥ 98.0 % | **no** | 4 | 25.0 % |",
        "| classification | time | 12.2 ms | ≤ 50.0 ms | yes | 0 |  |",
        "| classification | Dice | not measured | ≥ 0.900 | **no** | 0 |  |",
        "| grounding | not in the profile embedded |  |  |  |  |  |",
    ]


@pytest.mark.parametrize("parts", [False, True])
def test_the_terminal_shows_parts_when_asked(parts: bool) -> None:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(as_rich(TABLE, parts))
    text = console.export_text()
    assert "grounding: not in the profile embedded" in text
    assert ("  ct " in text) == parts


def seeing() -> WrittenTool:
    """Says CT to every picture that shows something."""

    def answer(call: ToolCall, context: ToolContext) -> ToolOutput:
        assert call.image is not None
        label = "CT" if np.ptp(context.frame(call.image)) else "MRI"
        data: Any = {"labels": [label, "other"], "probabilities": [0.9, 0.1], "task": "modality"}
        return ToolOutput(data)

    return WrittenTool("classification", answer)


def saying(label: str) -> WrittenTool:
    data: Any = {"labels": [label], "probabilities": [0.9], "task": "modality"}
    return WrittenTool("classification", lambda call, context: ToolOutput(data))


def test_ablations_stand_beside_the_figure_they_belong_to() -> None:
    rng = np.random.default_rng(0)
    cases = [
        Case("ct", rng.integers(0, 256, (8, 8), np.uint8), labels={"modality": frozenset({"CT"})}) for _ in range(8)
    ]
    seen: list[int] = []
    conditions = Conditions(shuffled=saying("MRI"), step=4, on_image=lambda: seen.append(1))
    measured = measure_tool(seeing(), Material(cases=cases, splits=()), conditions)
    figure = measured.figures[0]
    assert (figure.name, figure.value, figure.count) == ("modality on phantoms", 1.0, 8)
    assert figure.ablations == {NO_IMAGE: 0.0, SHUFFLED: 0.0}
    assert len(seen) == 8 + 2 + 2
    plain = measure_tool(seeing(), Material(cases=cases, splits=()), Conditions(step=0))
    assert not plain.figures[0].ablations


def test_a_shuffled_checkpoint_has_the_same_values_in_other_places(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "inner").mkdir(parents=True)
    tensors = {"a": torch.arange(600.0).view(20, 30), "b": torch.arange(64).half()}
    save_file(tensors, source / "model.safetensors", metadata={"belongs": "here"})
    save_file({"c": torch.arange(9.0)}, source / "inner" / "more.safetensors")
    before = hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest()
    (source / "config.json").write_text(json.dumps({"sha256": before, "size": 3}))
    shuffled_copy(source, target)
    copied = load_file(target / "model.safetensors")
    for name, tensor in tensors.items():
        assert copied[name].shape == tensor.shape
        assert copied[name].dtype == tensor.dtype
        assert not torch.equal(copied[name], tensor)
        assert torch.equal(copied[name].flatten().sort().values, tensor.flatten())
    after = hashlib.sha256((target / "model.safetensors").read_bytes()).hexdigest()
    assert after != before
    assert json.loads((target / "config.json").read_text()) == {"sha256": after, "size": 3}
    assert hashlib.sha256((source / "model.safetensors").read_bytes()).hexdigest() == before
    assert (target / "inner" / "more.safetensors").is_file()


def test_a_quick_run_on_the_shipped_tools(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    names = ["grounding", "segmentation", "classification", "report_generation"]
    chosen = [word for name in names for word in ("--tool", name)]
    result = CliRunner().invoke(app, ["evaluate", "tools", "--quick", *chosen, "--json", str(file)])
    assert result.exit_code == 0, result.output
    table = QualityTable.model_validate_json(file.read_text())
    assert table.quick
    assert [one.tool for one in table.tools] == names
    by_name = {(one.tool, figure.name): figure for one in table.tools for figure in one.figures}
    dice = by_name["segmentation", "Dice on phantoms"].value
    assert dice is not None
    assert dice > 0.5
    assert not [name for _, name in by_name if "real" in name]
    shown = CliRunner().invoke(app, ["evaluate", "table", str(file)])
    assert "| segmentation | Dice on phantoms |" in shown.output


def test_unknown_tools_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no figures of astrology"):
        CliRunner().invoke(app, ["evaluate", "tools", "--tool", "astrology"], catch_exceptions=False)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InvalidRequestError, match=r"x\.json does not hold figures"):
        CliRunner().invoke(app, ["evaluate", "table", str(tmp_path / "x.json")], catch_exceptions=False)
