"""Trains an adapter with the Trainer of transformers, on a CPU, on one GPU, or on several under `accelerate launch`."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.integrations import TensorBoardCallback

from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.training.sft.adapter import optimizer_of, with_adapter
from mmedagent.training.sft.data import Collator, Samples
from mmedagent.training.sft.settings import TrainingSettings
from mmedagent.training.sft.workspace import Workspace


class Watcher(Protocol):
    """Is told how far a run is, once an update. What it raises ends the run, which can then be resumed."""

    def begin(self, steps: int, done: int) -> None:
        """The run takes so many updates, of which some are done already."""

    def step(self, done: int) -> None:
        """An update is done."""

    def loss(self, loss: float) -> None:
        """The mean loss of a learnt token, in nats, since it was told last."""


@dataclass(frozen=True)
class Outcome:
    """The number of updates, and the loss of the last ones, in nats a token; None where none was logged."""

    steps: int
    loss: float | None


def number_format(settings: TrainingSettings) -> torch.dtype:
    """The format that the base is held in: bfloat16 on a GPU that computes in it, else float32."""
    on_gpu = settings.machine.device == "auto" and torch.cuda.is_available()
    return torch.bfloat16 if on_gpu and in_half_precision(settings) else torch.float32


def in_half_precision(settings: TrainingSettings) -> bool:
    """Whether a run computes in bfloat16: where it says so, and by itself on a GPU that can."""
    precision = settings.machine.precision
    on_gpu = settings.machine.device == "auto" and torch.cuda.is_available()
    return precision == "bf16" or (precision == "auto" and on_gpu and torch.cuda.is_bf16_supported())


def train(
    settings: TrainingSettings, model: Any, processor: Any, samples: Samples, watcher: Watcher, *, resume: bool = False
) -> Outcome:
    """Train an adapter on a model, and write it to `adapter` in the run's folder.

    Args:
        settings: the run.
        model: that of `settings.base`, of one of the families; it is changed.
        processor: its processor.
        samples: what is learnt.
        watcher: is told of progress, in the first process only.
        resume: go on from the last checkpoint. The weights at the end are those of a run that was never interrupted.

    Raises:
        ConflictError: there is a run in the folder already, or none to resume.
        InvalidRequestError: the settings do not fit the machine, the model or each other.
    """
    arguments = _arguments(settings, samples)
    workspace = Workspace(settings.output)
    if not resume and arguments.process_index == 0:
        workspace.begin(settings)
    checkpoint = workspace.resume(settings) if resume else None
    set_seed(settings.recipe.seed)
    adapted = with_adapter(model, settings.lora)
    trainer = Trainer(
        model=adapted,
        args=arguments,
        train_dataset=samples,
        data_collator=Collator(processor),
        optimizers=(optimizer_of(adapted, settings.recipe), None),
        callbacks=[_Reports(watcher), *_tensorboard(settings, workspace)],
    )
    trainer.remove_callback(PrinterCallback)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # see `with_adapter`
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint is not None else None)
        if arguments.process_index == 0:
            adapted.save_pretrained(str(workspace.adapter))
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Outcome(trainer.state.global_step, losses[-1] if losses else None)


def _arguments(settings: TrainingSettings, samples: Samples) -> Any:
    recipe, machine = settings.recipe, settings.machine
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    rows = max(1, min(machine.rows_at_once, recipe.batch_size // processes))
    if recipe.batch_size % (rows * processes):
        raise InvalidRequestError(
            f"recipe.batch_size, {recipe.batch_size}, is no multiple of {rows} rows at once on {processes} devices. "
            "Change machine.rows_at_once."
        )
    some_lack_an_image = any(sample.image is None for sample in samples.found)
    arguments = TrainingArguments(
        output_dir=str(Workspace(settings.output).checkpoints),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=recipe.batch_size // (rows * processes),
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=min(recipe.warm_up, 1 - 1e-9),  # below 1 it is a share
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.clip,
        seed=recipe.seed,
        data_seed=recipe.seed,
        bf16=in_half_precision(settings),
        use_cpu=machine.device == "cpu",
        activation_checkpointing=machine.recompute_activations,
        dataloader_num_workers=machine.image_workers,
        dataloader_pin_memory=machine.device != "cpu" and torch.cuda.is_available(),
        ddp_find_unused_parameters=some_lack_an_image,
        save_strategy="epoch" if machine.save_every is None else "steps",
        save_steps=machine.save_every or 500,
        save_total_limit=machine.keep,
        logging_steps=machine.log_every,
        label_names=["labels"],
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
    )
    if arguments.n_gpu > 1:
        raise InvalidRequestError(
            f"There are {arguments.n_gpu} GPUs. Start the command with `accelerate launch --module mmedagent.cli`, or "
            "name one GPU in CUDA_VISIBLE_DEVICES."
        )
    return arguments


class _Reports(TrainerCallback):  # type: ignore[misc]
    """Passes on what the trainer says about its progress."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if state.is_world_process_zero:
            self._watcher.begin(state.max_steps, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if state.is_world_process_zero:
            self._watcher.step(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **rest: Any) -> None:
        if state.is_world_process_zero and "loss" in logs:
            self._watcher.loss(logs["loss"])


def _tensorboard(settings: TrainingSettings, workspace: Workspace) -> list[Any]:
    if not settings.machine.tensorboard:
        return []
    if find_spec("tensorboardX") is None and find_spec("tensorboard") is None:
        raise InvalidRequestError(
            "machine.tensorboard needs a package: pip install 'mmedagent[train]', or set it to false."
        )
    callback = TensorBoardCallback()
    callback.logging_dir = str(workspace.logs)
    return [callback]
