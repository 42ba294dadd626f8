"""Annotated examples as tensors for the ask reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from mmedagent.networks.planner_net import OTHER, OUTCOMES, REFERS, TAGS, TASKS, AskBatch
from mmedagent.networks.planner_reader import tokenise
from mmedagent.training.instructions.ask_files import other_tools
from mmedagent.training.instructions.examples import Example

IGNORED = -100


@dataclass(frozen=True)
class LabelledBatch:
    """A batch with its targets; `IGNORED` where there is none.

    begin: float32 (n, words), 1 where a part begins. tag: int64 (n, words), none in parts that want another tool.
    part: int64 (n, words), the part of each word from 0, or -1. outcome, task, refers: int64 (n, parts). other: the
    place in `other_tools()` of the tool that is wanted, int64 (n, parts).
    """

    asks: AskBatch
    begin: Tensor
    tag: Tensor
    part: Tensor
    outcome: Tensor
    task: Tensor
    refers: Tensor
    other: Tensor


def batches(tokenizer: Tokenizer, examples: Sequence[Example], size: int, seed: int) -> Iterator[LabelledBatch]:
    """Batches in random order, each of examples of about the same length."""
    random = Random(seed)  # noqa: S311 - order of training examples
    order = sorted(range(len(examples)), key=lambda index: len(examples[index].text) + random.random() * 20)
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    random.shuffle(groups)
    for group in groups:
        yield labelled(tokenizer, [examples[index] for index in group])


def labelled(tokenizer: Tokenizer, examples: Sequence[Example], outcomes: Sequence[str] = OUTCOMES) -> LabelledBatch:
    """The tensors of some examples. A span covers every word that it touches."""
    tokenised = tokenise(tokenizer, [example.text for example in examples])
    shape = (len(examples), tokenised.batch.words)
    parts = max(len(example.parts) for example in examples)
    begin, tag = torch.full(shape, float(IGNORED)), torch.full(shape, IGNORED)
    part = torch.full(shape, -1)
    outcome, task, refers, other = (torch.full((len(examples), parts), IGNORED) for _ in range(4))
    for row, (example, words) in enumerate(zip(examples, tokenised.words, strict=True)):
        begin[row, : len(words)], tag[row, : len(words)] = 0.0, 0
        for number, mark in enumerate(example.parts):
            first = next((index for index, word in enumerate(words) if word[1] > mark.start), None)
            if first is None:
                continue
            first = first if number else 0
            begin[row, first] = 1.0
            part[row, first : len(words)] = number
            outcome[row, number] = outcomes.index(mark.outcome)
            refers[row, number] = REFERS.index(mark.refers)
            if mark.outcome == OTHER:
                other[row, number] = other_tools().index(str(mark.task))
            elif mark.task is not None:
                task[row, number] = TASKS.index(mark.task)
        for span in example.spans:
            touched = [index for index, word in enumerate(words) if word[0] < span.end and word[1] > span.start]
            for place, index in enumerate(touched):
                tag[row, index] = TAGS.index(f"{'I' if place else 'B'}-{span.kind}")
        for number, mark in enumerate(example.parts):
            if mark.outcome == OTHER:
                tag[row, part[row] == number] = IGNORED
    return LabelledBatch(tokenised.batch, begin, tag, part, outcome, task, refers, other)
