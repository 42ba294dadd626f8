"""Grounding: average precision by name and by synonyms that training never used, and silence about what is absent."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from mmedagent.evaluation.tool_quality.cases import Box, Case, Piece, pieces
from mmedagent.evaluation.tool_quality.detection import Detections, Ranking
from mmedagent.evaluation.tool_quality.driver import Driver
from mmedagent.evaluation.tool_quality.figures import Figure, Target, mean, share

LEAST_AP, LEAST_SYNONYM_RATIO, LEAST_SILENCE = 0.75, 0.6, 0.9
AP_THRESHOLD, USUAL_THRESHOLD = 0.05, 0.3
LEAST_INSTANCES = 5
"""A name with fewer true boxes than this has no figure of its own and is in no mean."""

_SMALLEST_SHARE = 0.001
"""Pieces below this share of the image count neither as missed nor as wrong."""

_PROMPTS_A_CALL = 16
_ABSENT_NAMES = 4

Wording = Callable[[str], str]


@dataclass(frozen=True)
class Structure:
    """Something that can be found: its name, the masks that show it, and ways to say it that training never used."""

    name: str
    masks: frozenset[str]
    held_out: tuple[str, ...] = ()
    small: bool = False


@dataclass(frozen=True)
class Vocabulary:
    """All structures, and which of them may mean the same pixels as another."""

    structures: tuple[Structure, ...]
    alike: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def shown(self, case: Case) -> frozenset[str]:
        """Names of what is in the image."""
        return frozenset(one.name for one in self.structures if one.masks & case.masks.keys())

    def absent(self, case: Case) -> tuple[str, ...]:
        """Names of what is not in the image and could not be taken for something that is."""
        shown = self.shown(case)
        return tuple(
            one.name
            for one in self.structures
            if one.name not in shown and not self.alike.get(one.name, frozenset()) & shown
        )


def read_vocabulary(text: str) -> Vocabulary:
    """The vocabulary in the TOML of the names: tables `structure`, and lists `alike` of names."""
    document = tomllib.loads(text)
    structures = tuple(
        Structure(
            name=row["name"],
            masks=frozenset(row.get("masks", [row["name"]])),
            held_out=tuple(row.get("held_out", ())),
            small=row.get("size", "organ") == "small",
        )
        for row in document["structure"]
    )
    alike: dict[str, frozenset[str]] = {}
    for group in document.get("alike", []):
        for name in group:
            alike[name] = alike.get(name, frozenset()) | frozenset(group)
    return Vocabulary(structures, alike)


def as_it_is(text: str) -> str:
    return text


def without_text(_text: str) -> str:
    """The same word for every name: what boxes are worth that do not depend on the prompt."""
    return "object"


def measure(driver: Driver, cases: Sequence[Case], vocabulary: Vocabulary, wording: Wording = as_it_is) -> list[Figure]:
    """The figures of grounding over images of phantoms."""
    names = {one.name: one.name for one in vocabulary.structures}
    by_name = _rankings(driver, cases, vocabulary, names, wording)
    precision = {
        name: ranking.average_precision() for name, ranking in by_name.items() if ranking.total >= LEAST_INSTANCES
    }
    figures = []
    for small, group, target in ((False, "organs", Target(bound=LEAST_AP)), (True, "small and crowded", None)):
        rows = [one.name for one in vocabulary.structures if one.small == small and one.name in precision]
        label = f"AP50 of {group}"
        values = [precision[name] or 0.0 for name in rows]
        figures.append(Figure(name=label, value=mean(values), unit="AP", count=len(rows), target=target))
        figures += [
            Figure(name=name, value=precision[name], unit="AP", count=by_name[name].total, part_of=label)
            for name in rows
        ]
    if wording is as_it_is:
        figures.append(_synonyms(driver, cases, vocabulary, precision))
    figures.append(_silence(driver, cases, vocabulary, wording))
    return figures


def _synonyms(
    driver: Driver, cases: Sequence[Case], vocabulary: Vocabulary, precision: Mapping[str, float | None]
) -> Figure:
    """AP of held-out synonyms as a share of the AP of the names they stand for, each synonym counted once."""
    texts = {text: one.name for one in vocabulary.structures if one.name in precision for text in one.held_out}
    ranked = _rankings(driver, cases, vocabulary, texts, as_it_is)
    pairs = [(ranked[text].average_precision() or 0.0, precision[name] or 0.0) for text, name in texts.items()]
    seen = sum(known for _, known in pairs)
    return Figure(
        name="AP50 of held-out synonyms, of that of their names",
        value=sum(new for new, _ in pairs) / seen if seen else None,
        count=len(pairs),
        target=Target(bound=LEAST_SYNONYM_RATIO),
    )


def _silence(driver: Driver, cases: Sequence[Case], vocabulary: Vocabulary, wording: Wording) -> Figure:
    """How often a name of something absent gets no box at the usual threshold."""
    silent: list[bool] = []
    for number, case in enumerate(cases):
        names = list(vocabulary.absent(case))
        np.random.default_rng(number).shuffle(names)
        found = detect(driver, case, [wording(name) for name in names[:_ABSENT_NAMES]], USUAL_THRESHOLD)
        silent += [not found[wording(name)] for name in names[:_ABSENT_NAMES]]
    return Figure(
        name="absent objects without a box", value=share(silent), count=len(silent), target=Target(bound=LEAST_SILENCE)
    )


def _rankings(
    driver: Driver, cases: Sequence[Case], vocabulary: Vocabulary, texts: Mapping[str, str], wording: Wording
) -> dict[str, Ranking]:
    """Every text (prompt -> name) asked on every image of the kinds on which its structure occurs."""
    structures = {one.name: one for one in vocabulary.structures}
    kinds: dict[str, set[str]] = {}
    for case in cases:
        kinds.setdefault(case.kind, set()).update(case.masks)
    rankings = {text: Ranking() for text in texts}
    for case in cases:
        asked = [text for text, name in texts.items() if structures[name].masks & kinds[case.kind]]
        found = detect(driver, case, [wording(text) for text in asked], AP_THRESHOLD)
        parts = {name: list(pieces(name, mask)) for name, mask in case.masks.items()}
        for text in asked:
            true, ignored = _truth(structures[texts[text]], parts, case)
            boxes = found[wording(text)]
            scores = [score for score, _ in boxes]
            rankings[text].add(Detections([box for _, box in boxes], scores, true, ignored))
    return rankings


def _truth(structure: Structure, parts: Mapping[str, Sequence[Piece]], case: Case) -> tuple[list[Box], list[Box]]:
    """Boxes of the structure's pieces: those that count, and those too small to count."""
    least = _SMALLEST_SHARE * case.pixels.shape[0] * case.pixels.shape[1]
    found = [piece for name in parts if name in structure.masks for piece in parts[name]]
    large = [piece.box for piece in found if piece.area >= least]
    return large, [piece.box for piece in found if piece.area < least]


def detect(driver: Driver, case: Case, prompts: Iterable[str], threshold: float) -> dict[str, list[tuple[float, Box]]]:
    """Scores and boxes of every prompt, each prompt asked once and several in one call."""
    image = driver.show(case.pixels)
    texts = list(dict.fromkeys(prompts))
    found: dict[str, list[tuple[float, Box]]] = {text: [] for text in texts}
    for start in range(0, len(texts), _PROMPTS_A_CALL):
        some: list[Any] = list(texts[start : start + _PROMPTS_A_CALL])
        data = driver.ask({"prompts": some, "threshold": threshold}, image).data
        rows = zip(
            cast("list[str]", data["phrases"]), cast("list[float]", data["scores"]), cast("list[Any]", data["boxes"]),
            strict=True,
        )  # fmt: skip
        for phrase, score, box in rows:
            found.setdefault(phrase, []).append((score, (box[0], box[1], box[2], box[3])))
    return found
