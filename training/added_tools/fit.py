"""Teach a planner new tools: heads for them beside the planner's own, which stays as it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from rich.progress import track
from torch import Tensor, nn

from mmedagent.networks.minilm import MINILM_WIDTH
from mmedagent.networks.minilm_encoder import load_minilm_encoder
from mmedagent.networks.planner_checkpoint import PlannerConfig, load_planner, save_added
from mmedagent.networks.planner_net import OTHER, OUTCOMES, TAGS, AddedHeads, PlannerNet, added_features, mean_by_group
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.training.added_tools.cards import Lesson
from mmedagent.training.instructions.ask_files import Share
from mmedagent.training.instructions.examples import Example, examples, make_example
from mmedagent.training.planner_batches import IGNORED, labelled

FILLINGS, JOINED = 12, 300
"""How often each example of a card is filled and worded, and how many of the old examples are several asks in one."""

STEPS, OUTCOME_RATE, TAG_RATE, DECAY, DROPOUT = 500, 3e-2, 1e-2, 1e-3, 0.3
NEW_BATCH, OLD_BATCH, WORDS, NEW_SHARE = 256, 512, 1_024, 0.5
MAY_BE_TAKEN = 0.005
"""The share of old asks of the calibration share that new tools may take."""

READ_AT_ONCE = 64
OTHER_ROW = OUTCOMES.index(OTHER)
SHARES: tuple[Share, Share] = ("train", "calibration")


@dataclass(frozen=True)
class Asked:
    """Parts of asks, and their words. Parts for tools that the planner does not know are left out, and so is their
    outcome: a new tool may be the one that they want.

    Attributes:
        features: of parts, float32 (n, 768).
        known: the calibrated logits of outcomes that the planner knows, (n, outcomes).
        meant: the outcome that is meant, int64 (n,).
        words: features of words, (m, 768).
        tags, asked_for: the tag of each word and the outcome of its part, int64 (m,).
    """

    features: Tensor
    known: Tensor
    meant: Tensor
    words: Tensor
    tags: Tensor
    asked_for: Tensor


class Teacher:
    """Teaches new tools to the planner in `start`, which stays as it is; what that says of old asks is read once.

    `most` bounds how many old asks of each share are read.

    Raises:
        CheckpointError: `start` is no compact planner.
    """

    def __init__(self, start: Path, seed: int, most: int = 10_000) -> None:
        self._start, self._seed = start, seed
        self._planner = load_planner(start)
        self._config, net = self._planner.config, self._planner.net
        self._both = PlannerNet(net.encoder, net.plain or load_minilm_encoder()).eval()
        random = Random(seed)  # noqa: S311 - training data, not secrets
        drawn = {share: examples(share, each=1, joined=JOINED, seed=seed) for share in SHARES}
        self._old, self._kept = (
            self._asked(random.sample(own, min(most, len(own))), OUTCOMES, f"old asks, {share}")
            for share, own in drawn.items()
        )

    def teach(self, lessons: Sequence[Lesson], output: Path, steps: int = STEPS) -> PlannerConfig:
        """Write the planner that knows the tools of the lessons, too.

        Raises:
            InvalidRequestError: the planner knows one of the tools already.
        """
        added = self._config.added
        for lesson in lessons:
            if lesson.card.name in self._config.added_tools:
                raise InvalidRequestError(f"The planner in {self._start} knows {lesson.card.name} already.")
        keys = [*OUTCOMES, *(f"{one.tool} {place}" for place, one in enumerate(added))]
        first = len(keys)
        keys += [key for lesson in lessons for key in lesson.outcomes]
        random = Random(self._seed)  # noqa: S311 - training data, not secrets
        shown = [ask for lesson in lessons for ask in (*(one.ask for one in lesson.taught), *lesson.named)]
        asks = [make_example(random, ask, augment=True) for ask in shown for _ in range(FILLINGS)]
        new = self._asked(asks, keys, "new asks")
        tools = torch.tensor([place for place, lesson in enumerate(lessons) for _ in lesson.outcomes])
        torch.manual_seed(self._seed)
        wanted = _step_back(_learn_outcomes(new, self._old, len(tools), steps), tools, self._kept)
        copied = _learn_tags(new, tools[new.asked_for - first], len(lessons), steps)
        outcomes = (outcome for lesson in lessons for outcome in lesson.outcomes.values())
        taught = self._config.model_copy(update={"added": (*added, *outcomes)})
        output.mkdir(parents=True, exist_ok=True)
        # The reader divides every outcome by the temperature, and these were learnt beside ones already divided.
        for parameter in wanted.parameters():
            parameter.mul_(self._config.temperature)
        save_added(output, self._start, taught, _joined(self._planner.net.added, wanted, copied))
        for name in ("glance.json", "glance.safetensors"):
            if (self._start / name).is_file():
                shutil.copyfile(self._start / name, output / name)
        return taught

    @torch.inference_mode()
    def _asked(self, drawn: Sequence[Example], keys: Sequence[str], what: str) -> Asked:
        planner = self._planner
        rows: list[tuple[Tensor, ...]] = []
        by_length = sorted(drawn, key=lambda example: len(example.text))
        for start in track(range(0, len(drawn), READ_AT_ONCE), what):
            batch = labelled(planner.tokenizer, by_length[start : start + READ_AT_ONCE], keys)
            states = self._both.word_states(batch.asks)
            pooled, said = mean_by_group(states, batch.part, batch.outcome.shape[1]), batch.tag != IGNORED
            real = (batch.outcome != IGNORED) & (batch.outcome != OTHER_ROW)
            known = planner.net.part_logits(pooled).outcome[real] / planner.config.temperature
            known[:, OTHER_ROW] = -torch.inf
            rows.append(
                (
                    added_features(pooled[real]),
                    known,
                    batch.outcome[real],
                    added_features(states[said]),
                    batch.tag[said],
                    batch.outcome.gather(1, batch.part.clamp(min=0))[said],
                )
            )
        return Asked(*(torch.cat(column).clone() for column in zip(*rows, strict=True)))


def _learn_outcomes(new: Asked, old: Asked, outcomes: int, steps: int) -> nn.Linear:
    """The rows of the new outcomes, by the cross entropy over these and what the planner says of those it knows."""
    head = _zeros(outcomes)

    def loss(asked: Asked, size: int) -> Tensor:
        rows = torch.randint(len(asked.meant), (size,))
        said = head(nn.functional.dropout(asked.features[rows], DROPOUT))
        return nn.functional.cross_entropy(torch.cat([asked.known[rows], said], -1), asked.meant[rows])

    _learn(
        "outcomes", head, OUTCOME_RATE, steps,
        lambda: NEW_SHARE * loss(new, NEW_BATCH) + (1 - NEW_SHARE) * loss(old, OLD_BATCH),
    )  # fmt: skip
    return head


def _learn_tags(new: Asked, tool: Tensor, tools: int, steps: int) -> nn.Linear:
    """What each new tool copies from an ask; `tool` is that of each word."""
    head = _zeros(tools * len(TAGS))

    def loss() -> Tensor:
        rows = torch.randint(len(new.tags), (WORDS,))
        said = head(nn.functional.dropout(new.words[rows], DROPOUT)).view(WORDS, tools, len(TAGS))
        return nn.functional.cross_entropy(said[torch.arange(WORDS), tool[rows]], new.tags[rows])

    _learn("names", head, TAG_RATE, steps, loss)
    return head


def _learn(what: str, head: nn.Linear, rate: float, steps: int, loss: Callable[[], Tensor]) -> None:
    optimizer = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in track(range(steps), what):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    head.requires_grad_(requires_grad=False)


def _step_back(head: nn.Linear, tools: Tensor, asked: Asked) -> nn.Linear:
    """Lower the outcomes of the tools that take old asks, until no more are taken than may be; `tools` are the tools of
    the outcomes. The asks that would cost the most are the ones that are let go."""
    kept = asked.known.argmax(-1) == asked.meant
    said = head(asked.features[kept])
    lead = torch.stack([said[:, tools == tool].logsumexp(-1) for tool in range(int(tools.max()) + 1)], -1)
    lead -= asked.known[kept].amax(-1, keepdim=True)
    let_go = lead.amax(-1).argsort(descending=True)[: int(MAY_BE_TAKEN * len(lead))]
    lead[let_go] = 0.0
    head.bias.sub_(lead.amax(0).clamp(min=0)[tools])
    return head


def _zeros(rows: int) -> nn.Linear:
    head = nn.Linear(2 * MINILM_WIDTH, rows)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _joined(before: AddedHeads | None, outcome: nn.Linear, tag: nn.Linear) -> AddedHeads:
    """Heads with the rows of the tools that were added before, and the new ones."""
    pairs = {"outcome": [outcome], "tag": [tag]}
    if before is not None:
        pairs = {"outcome": [before.outcome, outcome], "tag": [before.tag, tag]}
    joined = AddedHeads(_rows(pairs["outcome"]), _rows(pairs["tag"]) // len(TAGS))
    joined.load_state_dict(
        {
            f"{name}.{part}": torch.cat([one.state_dict()[part] for one in pair])
            for name, pair in pairs.items()
            for part in ("weight", "bias")
        }
    )
    return joined


def _rows(layers: Sequence[nn.Linear]) -> int:
    return sum(one.out_features for one in layers)
