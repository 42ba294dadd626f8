"""Writes the curriculum as a recipe for verl (https://github.com/verl-project/verl), for Ray clusters.

A folder with a parquet file for each stage in the form of verl's `RLHFDataset`, the reward's file, and for each stage a
list of Hydra overrides of `verl.trainer.main_ppo` and a script that applies them. Names are those of verl 0.9.1.

verl's KL divergence is to the model without its adapter, where TRL's is to the adapter of the stage before.
"""

from __future__ import annotations

import io
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmedagent.protocol.errors import ConflictError
from mmedagent.training.rl import verl_reward
from mmedagent.training.rl.curriculum import Level, Stage, rows_of
from mmedagent.training.rl.grpo import GRPOSettings, Rollout

DATA_SOURCE, IMAGE = "mmedagent/consultation", "<image>"
REWARD_FILE, SCRIPT = "reward.py", "train.sh"
VISION = ".*visual.*"
"""Layers of Qwen-VL's image tower, which LoRA leaves alone."""


def write_recipe(
    folder: Path, model: str, by_level: Mapping[Level, Sequence[Rollout]], schedule: Sequence[Stage],
    settings: GRPOSettings, *, cumulative: bool = True,
) -> None:  # fmt: skip
    """Write all files of a recipe for the model, a folder or a hub's name, into a new folder.

    Raises `ConflictError` when the folder is there.
    """
    if folder.exists():
        raise ConflictError(f"{folder} is there already. Give another folder, or delete it.")
    folder.mkdir(parents=True)
    shutil.copyfile(verl_reward.__file__, folder / REWARD_FILE)
    lines = [
        "#!/bin/sh",
        "# To run in this folder, on a Ray cluster with verl 0.9.1 and mmedagent installed.",
        "set -e",
    ]
    before = ""
    for stage in schedule:
        rows = rows_of(stage, by_level, cumulative=cumulative)
        if not rows:
            continue
        write_rows(rows, stage.name, folder / f"{stage.name}.parquet")
        given = overrides(stage, settings, model)
        if before:
            given.append(f"actor_rollout_ref.model.lora_adapter_path={before}")
        (folder / f"{stage.name}.overrides").write_text("\n".join(given) + "\n", "utf-8")
        actor = f"checkpoints/{stage.name}/global_step_{stage.steps}/actor"
        lines += [
            f'python -m verl.trainer.main_ppo $(cat {stage.name}.overrides) "$@"',
            f"python -m verl.model_merger merge --backend fsdp --local_dir {actor} --target_dir merged/{stage.name}",
        ]
        before = f"merged/{stage.name}/lora_adapter"
    (folder / SCRIPT).write_text("\n".join(lines) + "\n", "utf-8")


def write_rows(rows: Sequence[Rollout], split: str, path: Path) -> None:
    """One row a case: source, prompt with a place for the image, the image as PNG, the right answer and the options."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(
        [
            {
                "data_source": DATA_SOURCE,
                "prompt": [{"role": "user", "content": f"{IMAGE}\n{row.prompt}"}],
                "images": [{"bytes": _png(row)}],
                "ability": "medical",
                "reward_model": {"style": "rule", "ground_truth": row.solution},
                "extra_info": {"split": split, "index": index, "options": list(row.options)},
            }
            for index, row in enumerate(rows)
        ],
        schema=_schema(),
    )
    parquet.write_table(table, path)


def overrides(stage: Stage, settings: GRPOSettings, model: str) -> list[str]:
    """What a stage sets in verl's configuration; paths are relative to the recipe's folder."""
    prompts = settings.batch // settings.generations
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    return [
        "algorithm.adv_estimator=grpo",
        "algorithm.use_kl_in_reward=False",
        f"data.train_files={stage.name}.parquet",
        f"data.val_files={stage.name}.parquet",
        "data.image_key=images",
        f"data.train_batch_size={prompts}",
        f"data.max_response_length={settings.tokens}",
        f"actor_rollout_ref.model.path={shlex.quote(model)}",
        f"actor_rollout_ref.model.lora_rank={settings.rank}",
        f"actor_rollout_ref.model.lora_alpha={2 * settings.rank}",
        f"actor_rollout_ref.model.exclude_modules={VISION}",
        f"{actor}.use_kl_loss=True",
        f"{actor}.kl_loss_type=low_var_kl",
        f"{actor}.kl_loss_coef={stage.beta}",
        f"{actor}.entropy_coeff={stage.entropy}",
        f"{actor}.optim.lr={settings.rate}",
        f"{actor}.ppo_mini_batch_size={prompts}",
        f"{rollout}.name=vllm",
        f"{rollout}.n={settings.generations}",
        f"{rollout}.temperature={settings.temperature}",
        f"{rollout}.load_format=safetensors",
        f"reward.custom_reward_function.path={REWARD_FILE}",
        "reward.custom_reward_function.name=compute_score",
        "trainer.project_name=mmedagent-consultation",
        f"trainer.experiment_name={stage.name}",
        f"trainer.default_local_dir=checkpoints/{stage.name}",
        f"trainer.total_training_steps={stage.steps}",
        f"trainer.save_freq={stage.steps}",
    ]


def _schema() -> object:
    import pyarrow as pa

    return pa.schema(
        {
            "data_source": pa.string(),
            "prompt": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
            "images": pa.list_(pa.struct({"bytes": pa.binary()})),
            "ability": pa.string(),
            "reward_model": pa.struct({"style": pa.string(), "ground_truth": pa.string()}),
            "extra_info": pa.struct({"split": pa.string(), "index": pa.int64(), "options": pa.list_(pa.string())}),
        }
    )


def _png(row: Rollout) -> bytes:
    buffer = io.BytesIO()
    row.image.save(buffer, "PNG")
    return buffer.getvalue()
