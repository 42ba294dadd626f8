"""Read asks with the compact planner's network: from text to parts, with calibrated confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Encoding, Tokenizer

from mmedagent.networks.planner_added import AddedOutcome
from mmedagent.networks.planner_net import (
    HARMLESS,
    OUTCOMES,
    REFERS,
    TAGS,
    TASKS,
    AskBatch,
    PartLogits,
    PlannerNet,
    mean_by_group,
)
from mmedagent.networks.planner_parts import Part, merged
from mmedagent.networks.planner_text import AskText, words_of

MAX_READ_CHARACTERS = 2_000
_SEGMENTATION = OUTCOMES.index("segmentation")
_HARMLESS = [OUTCOMES.index(outcome) for outcome in HARMLESS]


@dataclass(frozen=True)
class TokenisedAsks:
    """Asks ready for the network, and the character offsets of each ask's words that fit in."""

    batch: AskBatch
    words: tuple[tuple[tuple[int, int], ...], ...]


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], device: torch.device | str = "cpu") -> TokenisedAsks:
    """Tokenise asks and number the word of every token; an ask without a word has the words ()."""
    shown = [text[:MAX_READ_CHARACTERS] for text in texts]
    encodings = tokenizer.encode_batch(shown)
    words, numbers = [], []
    for text, encoding in zip(shown, encodings, strict=True):
        spans, number = _word_numbers(words_of(text), encoding)
        words.append(spans)
        numbers.append(number)
    batch = AskBatch(
        ids=torch.tensor([encoding.ids for encoding in encodings], device=device),
        mask=torch.tensor([encoding.attention_mask for encoding in encodings], device=device),
        word=torch.tensor(numbers, device=device),
        words=max(1, *(len(spans) for spans in words)) if words else 1,
    )
    return TokenisedAsks(batch, tuple(words))


def _word_numbers(spans: list[tuple[int, int]], encoding: Encoding) -> tuple[tuple[tuple[int, int], ...], list[int]]:
    numbers = [-1] * len(encoding.ids)
    word = 0
    for token, (start, end) in enumerate(encoding.offsets):
        if end <= start:
            continue
        while word < len(spans) and spans[word][1] <= start:
            word += 1
        if word < len(spans) and spans[word][0] < end:
            numbers[token] = word
    return tuple(spans[: max(numbers, default=-1) + 1]), numbers


class AskReader:
    """Turns asks into parts. `temperature` divides the outcome logits so that probabilities are calibrated.

    `added` are the outcomes of the network behind `OUTCOMES`. A tool that has several is as probable as all together.
    """

    def __init__(
        self, net: PlannerNet, tokenizer: Tokenizer, temperature: float = 1.0, added: Sequence[AddedOutcome] = ()
    ) -> None:
        self.net = net.eval()
        self.tokenizer = tokenizer
        self.temperature = temperature
        self._added = tuple(added)
        self._names = (*OUTCOMES, *(one.tool for one in added))
        self._tools = [*dict.fromkeys(one.tool for one in added)]
        self._rows = {name: [row for row, own in enumerate(self._names) if own == name] for name in self._names}

    @torch.inference_mode()
    def read(self, ask: AskText) -> tuple[Part, ...]:
        """The parts of an ask in order, neighbours with the same outcome merged; () for an ask without words."""
        tokenised = tokenise(self.tokenizer, [ask.text], next(self.net.parameters()).device)
        words = tokenised.words[0]
        if not words:
            return ()
        states = self.net.word_states(tokenised.batch)
        begins, tags = self.net.word_logits(states)
        starts = [True, *(begins[0, 1 : len(words)] > 0).tolist()]
        part_of_word = torch.tensor(starts).cumsum(0) - 1
        count = int(part_of_word[-1]) + 1
        padded = torch.full((1, tokenised.batch.words), -1)
        padded[0, : len(words)] = part_of_word
        logits = self.net.part_logits(mean_by_group(states, padded.to(states.device), count))
        read = torch.cat([tags.unsqueeze(-2), self.net.added_tag_logits(states)], -2)[0, : len(words)].argmax(-1)
        named = [[TAGS[index] for index in one] for one in read.T.tolist()]
        return merged(
            self._parts(ask, words, part_of_word.tolist(), named, PartLogits(*(one[0].cpu() for one in logits)))
        )

    def _parts(
        self,
        ask: AskText,
        words: Sequence[tuple[int, int]],
        part_of_word: list[int],
        named: list[list[str]],
        said: PartLogits,
    ) -> list[Part]:
        """`named` are the tags of the words for the first tools, and then for each added tool."""
        parts: list[Part] = []
        for number in range(len(said.outcome)):
            own = [index for index, part in enumerate(part_of_word) if part == number]
            logits = said.outcome[number] / self.temperature
            placed = ask.has_coordinates or bool(ask.problems)
            if not placed and all(part.outcome != "grounding" for part in parts):
                logits[_SEGMENTATION] = -torch.inf
            probabilities = logits.softmax(-1)
            by_name: dict[str, float] = {}
            for name, probability in zip(self._names, probabilities.tolist(), strict=True):
                by_name[name] = by_name.get(name, 0.0) + probability
            outcome, second = sorted(by_name, key=by_name.__getitem__, reverse=True)[:2]
            chosen = max(self._rows[outcome], key=lambda row: float(probabilities[row]))
            added = self._added[chosen - len(OUTCOMES)] if chosen >= len(OUTCOMES) else None
            tags = named[0 if added is None else 1 + self._tools.index(added.tool)]
            parts.append(
                Part(
                    outcome=outcome,
                    words=ask.text[words[own[0]][0] : words[own[-1]][1]],
                    names=_copied(ask.text, words, own, tags, "name"),
                    passages=_copied(ask.text, words, own, tags, "passage"),
                    task=TASKS[int(said.task[number].argmax())] if outcome == "classification" else None,
                    refers=REFERS[int(said.refers[number].argmax())],
                    added=added,
                    confidence=float(probabilities[_HARMLESS].sum()) if outcome in HARMLESS else by_name[outcome],
                    runner_up=second,
                )
            )
        return parts


def _copied(
    text: str, words: Sequence[tuple[int, int]], own: Sequence[int], tags: Sequence[str], kind: str
) -> tuple[str, ...]:
    """The stretches of a part that are tagged as `kind`, word for word as the user wrote them.

    Neighbouring words are one stretch: names in a list have a mark or a conjunction between them.
    """
    found: list[tuple[int, int]] = []
    inside = False
    for index in own:
        tagged = tags[index] in {f"B-{kind}", f"I-{kind}"}
        if tagged and inside:
            found[-1] = (found[-1][0], words[index][1])
        elif tagged:
            found.append(words[index])
        inside = tagged
    return tuple(text[start:end] for start, end in found)
