"""Fit the ask reader: LoRA on MiniLM through peft, and the heads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from rich.progress import Progress
from torch import Tensor, nn

from mmedagent.networks.checkpoints import load_state, load_strict
from mmedagent.networks.minilm import MINILM_WIDTH, load_tokenizer
from mmedagent.networks.minilm_encoder import load_minilm_encoder
from mmedagent.networks.planner_net import LORA_TARGETS, MAX_TOKENS, OTHER, OUTCOMES, PlannerNet, mean_by_group
from mmedagent.networks.planner_reader import AskReader
from mmedagent.training.feed import Average, autocast, mix
from mmedagent.training.instructions.ask_files import other_tools
from mmedagent.training.instructions.examples import Example, examples
from mmedagent.training.planner_batches import IGNORED, LabelledBatch, batches, labelled
from mmedagent.training.planner_evaluation import acted_alike, as_ask, true_parts

LORA_R, LORA_ALPHA = 128, 256.0
LORA_RATE, HEAD_RATE = 5e-4, 2e-3
WARM_UP, AVERAGE_KEEP = 0.05, 0.99
BEGIN_WEIGHT = 4.0
"""Few words begin a part, and a beginning that is missed loses a part."""


@dataclass(frozen=True)
class AskFit:
    """A fitted reader and its LoRA factors under peft's names."""

    net: PlannerNet
    lora: dict[str, Tensor]


def every_ask(round_seed: int) -> list[Example]:
    """The asks of the training share, each in two fillings (for tools that it does not know, in three), and longer ones
    made of several."""
    more = [one for one in examples("train", each=1, joined=0, seed=round_seed + 500) if one.wants_other_tool]
    return examples("train", each=2, joined=600, seed=round_seed) + more


def fit_asks(
    steps: int,
    batch_size: int,
    seed: int,
    start: Path | None = None,
    keep: float = 0.0,
) -> AskFit:
    """Train from scratch or from the checkpoint in `start`.

    `keep` is the share of the weights of the start that is mixed into the result. Every round is drawn anew, so that no
    filling is seen twice.
    """
    torch.manual_seed(seed)
    tokenizer = load_tokenizer(max_tokens=MAX_TOKENS)
    settings = LoraConfig(r=LORA_R, lora_alpha=LORA_ALPHA, target_modules=list(LORA_TARGETS), bias="none")
    net = PlannerNet(get_peft_model(load_minilm_encoder(), settings)).train()
    if start is not None:
        _restore(net, start)
    others = nn.Linear(MINILM_WIDTH, len(other_tools()))
    lora = [parameter for parameter in net.encoder.parameters() if parameter.requires_grad]
    groups = [
        {"params": lora, "lr": LORA_RATE},
        {"params": [*net.heads.parameters(), *others.parameters()], "lr": HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    trained = nn.ParameterList([*lora, *net.heads.parameters()])
    first = {name: value.detach().clone() for name, value in trained.state_dict().items()}
    average = Average(trained, keep=AVERAGE_KEEP)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    done = 0
    with Progress() as progress:
        bar = progress.add_task("asks", total=steps)
        for round_ in range(steps):
            own_seed = seed * 1_000 + round_
            for batch in batches(tokenizer, every_ask(own_seed), batch_size, own_seed):
                if done == steps:
                    break
                with autocast(torch.device("cpu")):
                    loss = loss_of(net, others, batch)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                schedule.step()
                average.follow(trained)
                done += 1
                progress.update(bar, completed=done, description=f"asks, loss {float(loss.detach()):.3f}")
            if done == steps:
                break
    mix(average.state, first, keep)
    trained.load_state_dict(average.state)
    factors = get_peft_model_state_dict(net.encoder, save_embedding_layers=False)
    return AskFit(net.eval(), {key: value.detach().cpu() for key, value in factors.items()})


def _restore(net: PlannerNet, folder: Path) -> None:
    """Load a checkpoint; outcomes that it does not know yet begin with zeros."""
    state = load_state(folder / "model.safetensors")
    factors = {key.removeprefix("lora."): value.float() for key, value in state.items() if key.startswith("lora.")}
    set_peft_model_state_dict(net.encoder, factors)
    heads = {key.removeprefix("heads."): value for key, value in state.items() if key.startswith("heads.")}
    for name in ("outcome.weight", "outcome.bias"):
        rows = heads[name].float()
        missing = len(OUTCOMES) - len(rows)
        heads[name] = torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])])
    load_strict(net.heads, heads)


def loss_of(net: PlannerNet, others: nn.Linear, batch: LabelledBatch) -> Tensor:
    """Sum of the cross-entropies of outcome, task, reference, tags and part beginnings.

    `others` tells the tools apart that the planner does not know, as heads do that are added later: so the states keep
    what such heads need. It serves in training only.
    """
    states = net.word_states(batch.asks)
    begins, tags = net.word_logits(states)
    pooled = mean_by_group(states, batch.part, batch.outcome.shape[1])
    said = net.part_logits(pooled)
    real = batch.begin != IGNORED
    begin = nn.functional.binary_cross_entropy_with_logits(
        begins[real], batch.begin[real], pos_weight=torch.tensor(BEGIN_WEIGHT)
    )
    return (
        begin * 2
        + _cross_entropy(tags, batch.tag)
        + _cross_entropy(said.outcome, batch.outcome)
        + _other_tools(said.outcome, others(net.heads.dropout(pooled)), batch)
        + 0.5 * _cross_entropy(said.task, batch.task)
        + 0.5 * _cross_entropy(said.refers, batch.refers)
    )


def _other_tools(outcome: Tensor, others: Tensor, batch: LabelledBatch) -> Tensor:
    """The cross-entropy of outcomes with each other tool as one of its own in place of `OTHER`; both are logits."""
    known = [place for place, name in enumerate(OUTCOMES) if name != OTHER]
    meant = torch.where(batch.other == IGNORED, batch.outcome, len(known) + batch.other)
    return _cross_entropy(torch.cat([outcome[..., known], others], -1), meant)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    flat = target.flatten()
    if bool((flat == IGNORED).all()):
        return logits.sum() * 0.0
    return nn.functional.cross_entropy(logits.flatten(0, 1), flat, ignore_index=IGNORED)


def _rate(step: int, steps: int) -> float:
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


@torch.inference_mode()
def calibrate(net: PlannerNet, seed: int) -> float:
    """The temperature, from 0.5 to 5, with the least outcome cross-entropy on the calibration share."""
    tokenizer = load_tokenizer(max_tokens=MAX_TOKENS)
    drawn = examples("calibration", each=3, joined=150, seed=seed)
    logits, targets = [], []
    for start in range(0, len(drawn), 32):
        batch = labelled(tokenizer, drawn[start : start + 32])
        pooled = mean_by_group(net.word_states(batch.asks), batch.part, batch.outcome.shape[1])
        outcome = net.part_logits(pooled).outcome
        real = batch.outcome != IGNORED
        logits.append(outcome[real])
        targets.append(batch.outcome[real])
    every, wanted = torch.cat(logits), torch.cat(targets)
    candidates = torch.linspace(0.5, 5.0, 91).tolist()
    return float(min(candidates, key=lambda value: float(nn.functional.cross_entropy(every / value, wanted))))


def confidence_threshold(reader: AskReader, seed: int) -> float:
    """Where acting begins to pay on calibration asks, from 0.2 to 0.95: acting rightly earns what acting wrongly costs,
    and to ask back costs nothing."""
    rows: list[tuple[float, bool]] = []
    for example in examples("calibration", each=2, joined=80, seed=seed):
        found = reader.read(as_ask(example))
        sure = min((part.confidence for part in found), default=0.0)
        rows.append((sure, acted_alike(found, true_parts(example))))
    candidates = [value / 100 for value in range(20, 96)]
    return max(candidates, key=lambda least: sum(1 if same else -1 for sure, same in rows if sure >= least))
