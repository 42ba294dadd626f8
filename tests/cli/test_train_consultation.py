"""Commands of the consultation: adapters of a vision-language model on cases, a recipe for verl, and the table."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from mmedagent.cli.main import app
from mmedagent.networks.families import QWEN_2_5
from mmedagent.protocol.consultation import SPECIALTIES
from mmedagent.protocol.errors import ConflictError, InvalidRequestError, NotFoundError
from mmedagent.training.rl.grpo import HISTORY
from mmedagent.training.rl.pipeline import ANSWERS, FULL, PLAIN, TRIAGE_FILE
from mmedagent.training.rl.world import read_world
from tiny_qwen_vl import write_qwen

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMALL = ("--batch", "4", "--generations", "2", "--rank", "4", "--tokens", "6", "--threads", "1", "--rate", "1e-3")


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny base and four cases: two easy ones, one medium, one hard."""
    folder = tmp_path_factory.mktemp("cases")
    write_qwen(folder, QWEN_2_5, ["What is shown? cyst tumour <think></think><answer>B</answer>", *SPECIALTIES])
    (folder / "base" / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    rows = []
    for number, answers in enumerate((("B", "B"), ("B", "tumour"), ("A", "B"), ("A", "A"))):
        Image.new("RGB", (56, 56), (60 * number, 100, 100)).save(folder / f"{number}.png")
        rows.append(
            {
                "id": str(number), "image": f"{number}.png", "question": "What is shown?",
                "options": ["cyst", "tumour"], "answer": "tumour", "specialty": "oncologist",
                "opinions": [{"specialist": "oncologist", "answer": one} for one in answers],
            }
        )  # fmt: skip
    (folder / "cases.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return folder


def arguments(folder: Path, what: str, output: Path) -> list[str]:
    cases, base = str(folder / "cases.jsonl"), str(folder / "base")
    return ["train", what, cases, "--images", str(folder), "--base", base, "--output", str(output), *SMALL]


def test_triage_becomes_an_adapter(runner: CliRunner, folder: Path, tmp_path: Path) -> None:
    command = [*arguments(folder, "triage", tmp_path / "triage"), "--steps", "2"]
    assert runner.invoke(app, command, catch_exceptions=False).exit_code == 0
    assert (tmp_path / "triage" / "adapter_model.safetensors").is_file()
    assert len((tmp_path / "triage" / HISTORY).read_text("utf-8").splitlines()) == 2
    again = runner.invoke(app, command)
    assert isinstance(again.exception, ConflictError)


def test_attending_goes_through_its_stages(runner: CliRunner, folder: Path, tmp_path: Path) -> None:
    command = [*arguments(folder, "attending", tmp_path / "run"), "--easy", "1", "--medium", "1", "--hard", "1"]
    found = runner.invoke(app, command, catch_exceptions=False)
    assert [line.rpartition("on ")[2] for line in found.output.splitlines() if "updates" in line] == [
        "2 cases.",
        "3 cases.",
        "4 cases.",
    ]
    for stage in ("easy", "medium", "hard"):
        assert (tmp_path / "run" / stage / "adapter_model.safetensors").is_file()


def test_a_recipe_is_written_instead(runner: CliRunner, folder: Path, tmp_path: Path) -> None:
    command = [*arguments(folder, "attending", tmp_path / "recipe"), "--verl", "--own-level"]
    assert runner.invoke(app, command, catch_exceptions=False).exit_code == 0
    assert {path.name for path in (tmp_path / "recipe").iterdir()} == {
        "reward.py", "train.sh", *(f"{stage}.{kind}" for stage in ("easy", "medium", "hard")
        for kind in ("parquet", "overrides")),
    }  # fmt: skip


def test_rollouts_that_do_not_divide_and_cases_without_opinions_are_refused(
    runner: CliRunner, folder: Path, tmp_path: Path
) -> None:
    odd = runner.invoke(app, [*arguments(folder, "triage", tmp_path / "new"), "--batch", "5"])
    assert isinstance(odd.exception, InvalidRequestError)
    row = json.loads((folder / "cases.jsonl").read_text("utf-8").splitlines()[0])
    (folder / "bare.jsonl").write_text(f"{json.dumps({**row, 'opinions': [], 'specialty': None})}\n", "utf-8")
    for what in ("triage", "attending"):
        command = arguments(folder, what, tmp_path / "new")
        command[2] = str(folder / "bare.jsonl")
        assert isinstance(runner.invoke(app, command).exception, InvalidRequestError)
    assert not (tmp_path / "new").exists()


def test_the_table_of_finished_runs(runner: CliRunner, tmp_path: Path) -> None:
    none = runner.invoke(app, ["evaluate", "consultation", str(tmp_path)])
    assert isinstance(none.exception, NotFoundError)
    seed = tmp_path / "seed-0"
    seed.mkdir()
    rows = [
        {"method": method, "seed": 0, "case": str(case), "split": "test", "level": "hard", "right": case < right}
        for method, right in ((PLAIN, 2), (FULL, 4))
        for case in range(4)
    ]
    (seed / ANSWERS).write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    world = read_world()
    chosen = {split: ["radiologist"] * len(world[split]) for split in ("test", "outside")}
    (seed / TRIAGE_FILE).write_text(json.dumps({"before": chosen, "after": chosen}), "utf-8")
    for name in ("grpo-without-curriculum/all", "curriculum-without-entropy/easy", "full/easy"):
        (seed / name).mkdir(parents=True)
        line = {"stage": "easy", "accuracy": 0.5, "entropy": 0.2}
        (seed / name / HISTORY).write_text(f"{json.dumps(line)}\n", "utf-8")
    curves, figures = tmp_path / "curves.png", tmp_path / "figures.json"
    command = ["evaluate", "consultation", str(tmp_path), "--curves", str(curves), "--json", str(figures)]
    found = runner.invoke(app, command, catch_exceptions=False)
    assert f"| {PLAIN} | 50.0 (" in found.output
    assert "| seed-0 |" in found.output
    assert curves.read_bytes().startswith(b"\x89PNG")
    assert json.loads(figures.read_text("utf-8"))["full"] == FULL
