"""GRPO of one policy with TRL on one machine: a LoRA adapter, rollouts by transformers, rewards by exact match."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mmedagent.training.rl.rewards import accuracy_rewards, format_rewards

HISTORY = "history.jsonl"
_KEPT = {
    "reward": "reward", "rewards/accuracy_rewards/mean": "accuracy", "rewards/format_rewards/mean": "format",
    "kl": "kl", "entropy": "entropy", "step_time": "seconds", "frac_reward_zero_std": "without_signal",
}  # fmt: skip
"""What of TRL's log a history keeps, and under which name."""

TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
"""Only the language model: image towers name their layers alike."""


@dataclass(frozen=True)
class Rollout:
    """What a policy is asked: a prompt about an image, the right answer, and its options, if there are any."""

    prompt: str
    image: Image.Image
    solution: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class GRPOSettings:
    """How a policy is trained. The defaults are those of MMedAgent-RL, with the rate of LoRA.

    Attributes:
        generations: rollouts of one prompt.
        batch: rollouts of one update, a multiple of `generations`.
        rate: learning rate, constant after the warm-up.
        rank: of the LoRA adapter; its alpha is twice that.
        tokens: most tokens of a reply.
    """

    generations: int = 8
    batch: int = 128
    temperature: float = 1.0
    rate: float = 1e-5
    rank: int = 32
    tokens: int = 512
    warm_up: int = 5


@dataclass(frozen=True)
class Step:
    """A part of the training with weights of its own for KL divergence (beta) and entropy (gamma)."""

    name: str
    steps: int
    beta: float
    entropy: float


def adapter_of(model: Any, rank: int) -> Any:
    """The model with a new LoRA adapter to train."""
    from peft import LoraConfig, get_peft_model

    with _quiet():
        return get_peft_model(
            model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS, task_type="CAUSAL_LM")
        )


def load_adapted(model: Any, adapter: Path, *, trainable: bool) -> Any:
    """The model with an adapter of a folder."""
    from peft import PeftModel

    with _quiet():
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=trainable)


def train_adapter(
    base: Path, start: Path | None, rows: Sequence[Rollout], settings: GRPOSettings, step: Step, seed: int, out: Path
) -> None:
    """Train an adapter of the model in the folder `base`, a new one or from `start`, and write it to `out`."""
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    torch.manual_seed(seed)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=dtype, local_files_only=True)
    adapted = adapter_of(model, settings.rank) if start is None else load_adapted(model, start, trainable=True)
    processor = AutoProcessor.from_pretrained(base, local_files_only=True)
    train_grpo(adapted, processor, rows, settings, step, seed, out)


def train_grpo(
    adapted: Any, processor: Any, rows: Sequence[Rollout], settings: GRPOSettings, step: Step, seed: int, out: Path
) -> Any:
    """Train the adapter, write it and its history to `out`, and return the model.

    The reference of the KL divergence is the adapter as it comes, so each stage stays near the one before.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOTrainer

    data = Dataset.from_dict({"row": list(range(len(rows)))}).with_transform(
        # Images stay what they are in memory: encoding and decoding them would take as long as a few updates.
        lambda batch: _columns([rows[place] for place in batch["row"]])
    )
    with _quiet():
        trainer = GRPOTrainer(
            model=adapted, args=_arguments(settings, step, seed, out), train_dataset=data,
            reward_funcs=[format_rewards, accuracy_rewards], processing_class=processor,
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    _write(adapted, trainer.state.log_history, step, out)
    return adapted


def _columns(rows: Sequence[Rollout]) -> dict[str, list[Any]]:
    return {
        "prompt": [[{"role": "user", "content": row.prompt}] for row in rows],
        "image": [row.image for row in rows],
        "solution": [row.solution for row in rows],
        "options": [list(row.options) for row in rows],
    }


def _arguments(settings: GRPOSettings, step: Step, seed: int, out: Path) -> Any:
    import torch
    from trl import GRPOConfig

    on_cpu = not torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(out), max_steps=step.steps, beta=step.beta, entropy_coef=step.entropy, seed=seed,
        per_device_train_batch_size=settings.batch, num_generations=settings.generations,
        temperature=settings.temperature, learning_rate=settings.rate, max_completion_length=settings.tokens,
        lr_scheduler_type="constant_with_warmup", warmup_steps=settings.warm_up, loss_type="grpo",
        # Of images, vLLM expands the tokens a second time (huggingface/trl#6294) and samples from garbage.
        use_vllm=False,
        use_cpu=on_cpu, bf16=not on_cpu, gradient_checkpointing=not on_cpu, logging_steps=1, save_strategy="no",
        report_to="none", disable_tqdm=True, log_level="error", dataloader_pin_memory=not on_cpu,
    )  # fmt: skip


def _write(adapted: Any, log: list[dict[str, Any]], step: Step, out: Path) -> None:
    adapted.save_pretrained(str(out), selected_adapters=["default"])
    rows = [{"stage": step.name, **{name: one[key] for key, name in _KEPT.items()}} for one in log if "reward" in one]
    (out / HISTORY).write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what these libraries of fixed versions say of each other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield
