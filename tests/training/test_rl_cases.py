"""Cases of one's own, and the recipe for verl that is made of them."""

import json
from pathlib import Path

import pytest
from PIL import Image
from pyarrow import parquet

from mmedagent.protocol.errors import ConflictError, InvalidRequestError
from mmedagent.training.rl.cases import attending_rollouts, read_cases, triage_rollouts
from mmedagent.training.rl.curriculum import stages
from mmedagent.training.rl.grpo import GRPOSettings
from mmedagent.training.rl.verl_recipe import write_recipe
from mmedagent.training.rl.verl_reward import compute_score

CASE: dict[str, object] = {
    "id": "1", "image": "a.png", "question": "What is shown?", "options": ["cyst", "tumour"], "answer": "tumour",
    "specialty": "radiologist",
}  # fmt: skip


def opinions(*answers: str) -> dict[str, object]:
    return {"opinions": [{"specialist": "radiologist", "answer": one} for one in answers]}


def written(folder: Path, *rows: dict[str, object]) -> Path:
    Image.new("RGB", (30, 20), (200, 10, 10)).save(folder / "a.png")
    file = folder / "cases.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return file


def test_cases_are_sorted_by_their_opinions(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {**CASE, **opinions("B", "tumour")},
        {**CASE, **opinions("B", "A")},
        {**CASE, **opinions("A", "I cannot tell")},
        CASE,
    )
    found = attending_rollouts(read_cases(file), tmp_path)
    assert {level: len(rows) for level, rows in found.items()} == {"easy": 1, "medium": 1, "hard": 1}
    (row,) = found["medium"]
    assert row.prompt.splitlines()[:3] == ["What is shown?", "A. cyst", "B. tumour"]
    assert (row.solution, row.options, row.image.size) == ("tumour", ("cyst", "tumour"), (30, 20))


def test_triage_learns_from_cases_that_name_a_specialty(tmp_path: Path) -> None:
    file = written(tmp_path, CASE, {**CASE, "specialty": None})
    (row,) = triage_rollouts(read_cases(file), tmp_path)
    assert (row.solution, row.options) == ("radiologist", ())
    assert "ophthalmologist" in row.prompt


@pytest.mark.parametrize(
    "change",
    [
        {"answer": "stone"},
        {"options": ["tumour", "tumour"]},
        {"specialty": "barber"},
        {"question": ""},
        {"unknown": 1},
    ],
)
def test_a_line_that_is_no_case_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    file = written(tmp_path, CASE, {**CASE, **change})
    with pytest.raises(InvalidRequestError, match="Line 2"):
        read_cases(file)


@pytest.mark.parametrize("image", ["../a.png", "/etc/hostname", "missing.png", "cases.jsonl"])
def test_images_come_from_their_folder(tmp_path: Path, image: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    written(tmp_path, CASE)
    file = written(inside, {**CASE, "image": image})
    with pytest.raises(InvalidRequestError, match="image of case 1"):
        triage_rollouts(read_cases(file), inside)


def test_a_recipe_has_the_columns_and_settings_of_verl(tmp_path: Path) -> None:
    file = written(tmp_path, {**CASE, **opinions("B", "B")}, {**CASE, **opinions("A", "A")})
    by_level = attending_rollouts(read_cases(file), tmp_path)
    schedule = stages({"easy": 5, "medium": 6, "hard": 7})
    write_recipe(tmp_path / "recipe", "Qwen/Qwen2.5-VL-7B-Instruct", by_level, schedule, GRPOSettings())
    assert parquet.read_table(tmp_path / "recipe" / "easy.parquet").num_rows == 1
    rows = parquet.read_table(tmp_path / "recipe" / "hard.parquet").to_pylist()
    assert len(rows) == 2
    row = rows[-1]
    assert set(row) == {"data_source", "prompt", "images", "ability", "reward_model", "extra_info"}
    assert row["prompt"][0]["content"].count("<image>") == len(row["images"]) == 1
    assert row["images"][0]["bytes"].startswith(b"\x89PNG")
    assert row["extra_info"]["index"] == 1
    reply = "<think>solid</think><answer>B</answer>"
    assert compute_score(row["data_source"], reply, row["reward_model"]["ground_truth"], row["extra_info"]) == 1.5
    hard = (tmp_path / "recipe" / "hard.overrides").read_text("utf-8").splitlines()
    assert {
        "actor_rollout_ref.actor.kl_loss_coef=0.01",
        "actor_rollout_ref.actor.entropy_coeff=0.005",
        "actor_rollout_ref.rollout.n=8",
        "trainer.total_training_steps=7",
        "actor_rollout_ref.model.lora_adapter_path=merged/medium/lora_adapter",
    } <= set(hard)
    easy = (tmp_path / "recipe" / "easy.overrides").read_text("utf-8")
    assert "lora_adapter_path" not in easy
    assert (tmp_path / "recipe" / "reward.py").read_text("utf-8").count("def compute_score(") == 1
    with pytest.raises(ConflictError):
        write_recipe(tmp_path / "recipe", "any", by_level, schedule, GRPOSettings())
