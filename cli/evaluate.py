"""`mmedagent evaluate`: how good the tools of a profile are, in figures with targets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from mmedagent.cli.evaluate_added import evaluate_added_tools
from mmedagent.cli.evaluate_consultation import evaluate_consultation
from mmedagent.cli.evaluate_evidence import evaluate_evidence
from mmedagent.cli.evaluate_planners import evaluate_planners
from mmedagent.cli.evaluate_selection import evaluate_dialogues, evaluate_tool_selection
from mmedagent.cli.evaluate_vqa import evaluate_vqa
from mmedagent.cli.options import FiguresFile, ProfileName
from mmedagent.cli.paths import MODELS
from mmedagent.cli.profile import TOOLS, Profile, backend_class, load_profile
from mmedagent.protocol.errors import InvalidRequestError

if TYPE_CHECKING:
    from mmedagent.evaluation.real_images.registry import Split
    from mmedagent.evaluation.tool_quality.cases import Case
    from mmedagent.evaluation.tool_quality.figures import QualityTable, ToolFigures
    from mmedagent.evaluation.tool_quality.suite import Material
    from mmedagent.serving.tool import Tool
    from mmedagent.training.phantoms.base import Phantom

FIRST_SEED, SEEDS_A_KIND = 900_000, 10_000
"""Held-out phantoms are drawn from single numbers from here on, which no training does."""

QUESTIONS = MODELS.parent / "tests" / "tool_workers" / "retrieval_held_out.toml"
_ABLATION_STEP = 4
_PLAIN_WIDTH = 120

app = typer.Typer(help="Figures of quality.", no_args_is_help=True)
app.command("tool-selection")(evaluate_tool_selection)
app.command("dialogues")(evaluate_dialogues)
app.command("added-tools")(evaluate_added_tools)
app.command("evidence")(evaluate_evidence)
app.command("planners")(evaluate_planners)
app.command("vqa")(evaluate_vqa)
app.command("consultation")(evaluate_consultation)


@app.callback()
def evaluate() -> None:
    """Commands that measure how good answers are."""


@app.command("tools")
def evaluate_tools(
    profile: ProfileName = "embedded",
    tool: Annotated[list[str] | None, typer.Option(help="A tool to measure; all of them when left out.")] = None,
    images: Annotated[int, typer.Option(min=1, max=1_000, help="Held-out phantoms of each kind.")] = 40,
    quick: Annotated[bool, typer.Option("--quick", help="Two phantoms a kind, no real image, no ablations.")] = False,
    development: Annotated[
        bool, typer.Option("--development", help="Leave the final half of the real images unopened.")
    ] = False,
    shuffled: Annotated[
        bool, typer.Option("--shuffled", help="Also measure every tool with shuffled weights.")
    ] = False,
    questions: Annotated[Path, typer.Option(help="TOML file of questions for retrieval.")] = QUESTIONS,
    parts: Annotated[bool, typer.Option("--parts", help="Also print kinds, classes and single images.")] = False,
    json: FiguresFile = None,
) -> None:
    """Measure the tools of a profile and print every figure beside its target."""
    from mmedagent.evaluation.tool_quality.table import as_rich

    chosen = load_profile(profile)
    names = _names(tool, chosen)
    with _progress() as progress:
        splits: tuple[Split, ...] = () if quick else ("development",) if development else ("development", "final")
        material = _material(names, 2 if quick else images, questions, splits)
        table = _measure(names, profile, chosen, material, Manner(quick, shuffled, progress))
    if json is not None:
        json.write_text(table.model_dump_json(indent=1) + "\n", "utf-8")
    console = Console()
    (console if console.is_terminal else Console(width=_PLAIN_WIDTH)).print(as_rich(table, parts))


@app.command("table")
def print_table(file: Annotated[Path, typer.Argument(help="A file that `evaluate tools --json` wrote.")]) -> None:
    """Print the figures of a file as Markdown, as the README shows them."""
    from mmedagent.evaluation.tool_quality.figures import QualityTable
    from mmedagent.evaluation.tool_quality.table import as_markdown

    try:
        table = QualityTable.model_validate_json(file.read_text("utf-8"))
    except (OSError, ValidationError) as error:
        raise InvalidRequestError(f"{file.name} does not hold figures.") from error
    typer.echo(as_markdown(table))


@dataclass(frozen=True)
class Manner:
    """How to measure: quickly, with shuffled weights as well, and where to show how far it is."""

    quick: bool
    shuffled: bool
    progress: Progress


@dataclass
class LoadedTools:
    """The tools of a profile, each loaded when it is first wanted."""

    profile: Profile
    _loaded: dict[str, Tool] = field(default_factory=dict)

    def find(self, name: str) -> Tool:
        """Raises `InvalidRequestError` for a tool that the profile does not have."""
        if name not in self._loaded:
            self._loaded[name] = self.fresh(name, self.checkpoint(name))
        return self._loaded[name]

    def checkpoint(self, name: str) -> Path | None:
        if name not in self.profile.tools:
            raise InvalidRequestError(f"The profile has no tool {name}.")
        return self.profile.checkpoint(self.profile.tools[name])

    def fresh(self, name: str, checkpoint: Path | None) -> Tool:
        """The tool, loaded from a checkpoint folder."""
        made: Tool = backend_class(TOOLS, self.profile.tools[name].backend or name)(checkpoint=checkpoint)
        made.load("cpu")
        return made


def _names(wanted: list[str] | None, profile: Profile) -> list[str]:
    """Tools to measure. Raises `InvalidRequestError` for one that has no figures."""
    from mmedagent.evaluation.tool_quality.suite import MEASURES

    unknown = [name for name in wanted or () if name not in MEASURES]
    if unknown:
        raise InvalidRequestError(f"There are no figures of {unknown[0]}; there are of: {', '.join(MEASURES)}.")
    return [name for name in MEASURES if name in (wanted or MEASURES)]


def _measure(names: list[str], label: str, profile: Profile, material: Material, manner: Manner) -> QualityTable:
    from mmedagent.evaluation.tool_quality.figures import QualityTable, ToolFigures

    started, tools, rows = time.perf_counter(), LoadedTools(profile), list[ToolFigures]()
    for name in names:
        if name in profile.tools:
            rows.append(_measure_one(name, tools, material, manner))
        else:
            rows.append(ToolFigures(tool=name, missing=f"not in the profile {label}"))
    seconds = round(time.perf_counter() - started, 1)
    return QualityTable(profile=label, quick=manner.quick, seconds=seconds, tools=tuple(rows))


def _measure_one(name: str, tools: LoadedTools, material: Material, manner: Manner) -> ToolFigures:
    from mmedagent.evaluation.tool_quality.suite import Conditions, measure_tool

    task = manner.progress.add_task(name, total=None)
    loaded = tools.find(name)
    with _shuffled(name, tools, manner.shuffled) as shuffled:
        step = 0 if manner.quick else _ABLATION_STEP
        conditions = Conditions(tools.find, shuffled, step, _advance(manner.progress, task))
        figures = measure_tool(loaded, material, conditions)
    manner.progress.stop_task(task)
    return figures


@contextmanager
def _shuffled(name: str, tools: LoadedTools, wanted: bool) -> Iterator[Tool | None]:
    """The tool on a copy of its checkpoint whose tensors are permuted, as long as the context lasts."""
    from mmedagent.evaluation.tool_quality.shuffle import shuffled_copy

    folder = tools.checkpoint(name)
    if not wanted or folder is None:
        yield None
        return
    with TemporaryDirectory(prefix="mmedagent-shuffled-") as copy:
        shuffled_copy(folder, Path(copy))
        yield tools.fresh(name, Path(copy))


def _material(names: list[str], images: int, questions: Path, splits: tuple[Split, ...]) -> Material:
    """Held-out phantoms, the names of grounding and the questions of retrieval, as far as the tools need them."""
    from mmedagent.evaluation.tool_quality.grounding import read_vocabulary
    from mmedagent.evaluation.tool_quality.retrieval import read_questions
    from mmedagent.evaluation.tool_quality.suite import Material
    from mmedagent.training.phantoms import KINDS
    from mmedagent.training.segmentation_data import SKIPPED

    vocabulary = resources.files("mmedagent.training").joinpath("grounding_names.toml").read_text("utf-8")
    return Material(
        cases=[case for kind in KINDS for case in _held_out(kind, images)] if names != ["retrieval"] else [],
        chests=_chests(3 * images) if "report_generation" in names else [],
        vocabulary=read_vocabulary(vocabulary),
        skipped=SKIPPED,
        questions=read_questions(questions.read_text("utf-8")) if questions.is_file() else [],
        splits=splits,
    )


def _held_out(kind: str, count: int) -> list[Case]:
    from mmedagent.training.phantoms import KINDS

    first = FIRST_SEED + SEEDS_A_KIND * KINDS.index(kind)
    return [_case(kind, seed) for seed in range(first, first + count)]


def _chests(count: int) -> list[Case]:
    """Chest radiographs, from seeds of which `_held_out` takes only the first."""
    from mmedagent.evaluation.tool_quality.reports import CHEST_RADIOGRAPH

    drawn = _held_out("xray", count + count // 2)
    return [case for case in drawn if case.view == CHEST_RADIOGRAPH][:count]


def _case(kind: str, seed: int) -> Case:
    import numpy as np

    from mmedagent.evaluation.tool_quality.cases import Case
    from mmedagent.training.phantoms import generate

    phantom = generate(kind, np.random.default_rng(seed))
    return Case(
        kind=kind,
        pixels=phantom.image,
        masks=phantom.masks,
        labels=_labels(phantom),
        findings=frozenset(phantom.findings),
        view=f"{phantom.modality} {phantom.anatomy}",
    )


def _labels(phantom: Phantom) -> dict[str, frozenset[str]]:
    """What the classifier should say, in the words of its labels; a task that has no label for it has no truth."""
    from mmedagent.training.classification_captions import ANATOMIES, FINDINGS, MODALITIES, NO_FINDING, STAINS

    truths = {
        "modality": (MODALITIES, (phantom.modality,)),
        "anatomy": (ANATOMIES, (phantom.anatomy,)),
        "histology": (STAINS, (phantom.technique,) if phantom.modality == "histology" else ()),
        "finding": (FINDINGS, phantom.findings or (NO_FINDING,)),
    }
    return {
        task: frozenset(label.name for label in labels for name in names if name in label.sources)
        for task, (labels, names) in truths.items()
    }


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed} images"))
    return Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))


def _advance(progress: Progress, task: TaskID) -> Callable[[], None]:
    return lambda: progress.advance(task)
