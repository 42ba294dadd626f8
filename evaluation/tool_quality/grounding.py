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

_CRUMB = 0.1
"""Pieces below this share of their structure's largest piece, left over by overlaps, count neither way."""

_PROMPTS_A_CALL = 10
_SYNONYM_STEP = 3
"""Synonyms are asked on every so many images: there are several for each name."""

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
    """All structures, and for each name the names of those that may mean the same pixels."""

    structures: tuple[Structure, ...]
    alike: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def may_clash(self, first: str, second: str, shown: frozenset[str]) -> bool:
        """Whether two names, asked in one call, may compete for a box of something that is shown."""
        near, far = (self.alike.get(name, frozenset()) | {name} for name in (first, second))
        return second in near and bool((near | far) & shown)

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


@dataclass(frozen=True)
class Exam:
    """Who is asked, about which structures of which kind of image, and in which words."""

    driver: Driver
    vocabulary: Vocabulary
    occurring: Mapping[str, frozenset[str]]
    wording: Wording


def measure(driver: Driver, cases: Sequence[Case], vocabulary: Vocabulary, wording: Wording = as_it_is) -> list[Figure]:
    """The figures of grounding over images of phantoms."""
    exam = Exam(driver, vocabulary, _occurring(cases), wording)
    names = {one.name: one.name for one in vocabulary.structures}
    some = cases[::_SYNONYM_STEP]
    on_some = _rankings(exam, some, names)
    on_rest = _rankings(exam, [case for number, case in enumerate(cases) if number % _SYNONYM_STEP], names)
    by_name = {name: ranking.with_more(on_rest[name]) for name, ranking in on_some.items()}
    figures = _precision(by_name, vocabulary)
    if wording is as_it_is:
        figures.append(_synonyms(exam, some, on_some))
    figures.append(_silence(exam, cases))
    return figures


def _precision(by_name: Mapping[str, Ranking], vocabulary: Vocabulary) -> list[Figure]:
    """Mean AP of organs and of small structures, and the AP of every name that has enough true boxes."""
    figures: list[Figure] = []
    for small, group, target in ((False, "organs", Target(bound=LEAST_AP)), (True, "small and crowded", None)):
        label = f"AP50 of {group}"
        rows = [one.name for one in vocabulary.structures if one.small == small]
        values = {
            name: by_name[name].average_precision() or 0.0 for name in rows if by_name[name].total >= LEAST_INSTANCES
        }
        whole = mean(list(values.values()))
        figures.append(Figure(name=label, value=whole, unit="AP", count=len(values), target=target))
        figures += [
            Figure(name=name, value=value, unit="AP", count=by_name[name].total, part_of=label)
            for name, value in values.items()
        ]
    return figures


def _synonyms(exam: Exam, cases: Sequence[Case], by_name: Mapping[str, Ranking]) -> Figure:
    """AP of held-out synonyms as a share of the AP of their names on the same images, each synonym counted once."""
    known = {name: ranking.average_precision() for name, ranking in by_name.items()}
    structures = [one for one in exam.vocabulary.structures if known[one.name] is not None]
    texts = {text: one.name for one in structures for text in one.held_out}
    ranked = _rankings(exam, cases, texts)
    pairs = [(ranked[text].average_precision() or 0.0, known[name] or 0.0) for text, name in texts.items()]
    seen = sum(ap for _, ap in pairs)
    return Figure(
        name="AP50 of held-out synonyms, of that of their names",
        value=sum(ap for ap, _ in pairs) / seen if seen else None,
        count=len(pairs),
        target=Target(bound=LEAST_SYNONYM_RATIO),
    )


def _silence(exam: Exam, cases: Sequence[Case]) -> Figure:
    """How often a name of something absent gets no box at the usual threshold."""
    silent: list[bool] = []
    for number, case in enumerate(cases):
        names = list(exam.vocabulary.absent(case))
        np.random.default_rng(number).shuffle(names)
        prompts = [exam.wording(name) for name in names[:_ABSENT_NAMES]]
        found = detect(exam.driver, case, [prompts], USUAL_THRESHOLD) if prompts else {}
        silent += [not found[prompt] for prompt in prompts]
    return Figure(
        name="absent objects without a box", value=share(silent), count=len(silent), target=Target(bound=LEAST_SILENCE)
    )


def _occurring(cases: Sequence[Case]) -> dict[str, frozenset[str]]:
    """Names of the masks that occur on any image of a kind."""
    kinds: dict[str, frozenset[str]] = {}
    for case in cases:
        kinds[case.kind] = kinds.get(case.kind, frozenset()) | case.masks.keys()
    return kinds


def _rankings(exam: Exam, cases: Sequence[Case], texts: Mapping[str, str]) -> dict[str, Ranking]:
    """Every text (prompt -> name) asked on every image of the kinds on which its structure occurs."""
    structures = {one.name: one for one in exam.vocabulary.structures}
    rankings = {text: Ranking() for text in texts}
    for case in cases:
        here = exam.occurring[case.kind]
        asked = {text: name for text, name in texts.items() if structures[name].masks & here}
        calls = without_clashes(asked, exam.vocabulary, exam.vocabulary.shown(case))
        found = detect(exam.driver, case, [[exam.wording(text) for text in call] for call in calls], AP_THRESHOLD)
        parts = {name: list(pieces(name, mask)) for name, mask in case.masks.items()}
        for text in asked:
            true, ignored = _truth(structures[texts[text]], parts)
            boxes = found[exam.wording(text)]
            scores = [score for score, _ in boxes]
            rankings[text].add(Detections([box for _, box in boxes], scores, true, ignored))
    return rankings


def _truth(structure: Structure, parts: Mapping[str, Sequence[Piece]]) -> tuple[list[Box], list[Box]]:
    """Boxes of the structure's pieces: those that count, and crumbs."""
    whole: list[Box] = []
    crumbs: list[Box] = []
    for name in parts.keys() & structure.masks:
        largest = max((piece.area for piece in parts[name]), default=0)
        for piece in parts[name]:
            (whole if piece.area >= _CRUMB * largest else crumbs).append(piece.box)
    return whole, crumbs


def without_clashes(texts: Mapping[str, str], vocabulary: Vocabulary, shown: frozenset[str]) -> list[list[str]]:
    """Texts (prompt -> name) put into calls, each into the first that is not full and has none that it may clash with.

    `shown` are the names of what is in the image.
    """
    calls: list[list[str]] = []
    for text, name in texts.items():
        for call in calls:
            clash = any(vocabulary.may_clash(texts[one], name, shown) for one in call)
            if not clash and len(call) < _PROMPTS_A_CALL:
                call.append(text)
                break
        else:
            calls.append([text])
    return calls


def detect(
    driver: Driver, case: Case, calls: Iterable[Sequence[str]], threshold: float
) -> dict[str, list[tuple[float, Box]]]:
    """Scores and boxes of the prompts of every call; a prompt that comes twice is asked once."""
    image = driver.show(case.pixels)
    found: dict[str, list[tuple[float, Box]]] = {}
    for call in calls:
        fresh: list[Any] = [text for text in dict.fromkeys(call) if text not in found]
        found |= {text: [] for text in fresh}
        if not fresh:
            continue
        data = driver.ask({"prompts": fresh, "threshold": threshold}, image).data
        rows = zip(
            cast("list[str]", data["phrases"]), cast("list[float]", data["scores"]), cast("list[Any]", data["boxes"]),
            strict=True,
        )  # fmt: skip
        for phrase, score, box in rows:
            found.setdefault(phrase, []).append((score, (box[0], box[1], box[2], box[3])))
    return found
