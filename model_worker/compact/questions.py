"""What is asked about an image, where no tool is asked for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Literal, cast

from mmedagent.model_worker.compact.names import MASK, NameBook
from mmedagent.model_worker.compact.phrasing import Guess, PhrasingClassifier, Vectors

Kind = Literal[
    "modality", "view", "technique", "body_part", "presence", "side", "count", "abnormal", "findings", "describe",
    "file", "other",
]  # fmt: skip
ABOUT_NAMES = frozenset({"presence", "side", "count"})
SURE_SCORE, SURE_LEAD = 0.3, 0.1
"""A question that scores less, or leads by less, is not understood."""

MAX_QUESTIONS = 4
NO_TOOLS = re.compile(
    r"\b(?:(?:just |only )?(?:at|from|with) (?:a|one|first|a quick|a first) (?:glance|look|sight)|at first sight"
    r"|without (?:using |calling |running |the help of )?(?:a |any |the )?tools?|no tools?(?: please| needed)?"
    r"|(?:do not|don['’]t) (?:use|call|run) (?:a |any |the )?tools?)\b[\s,:;.!-]*",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.?!;\n]+[.?!;\n]*")
_NEXT_QUESTION = re.compile(
    r",?\s+(?:and|or)\s+(?=(?:what|which|how|is|are|does|do|can|whether|if|(?:on|in) (?:which|what))\b)", re.IGNORECASE
)
_SIDES = re.compile(r"\b(?:left|right)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """One question: its kind, the names that it is about, whether it was understood, and how well, about 0 to 1."""

    kind: Kind
    names: tuple[str, ...] = ()
    sure: bool = True
    score: float = field(default=1.0, compare=False)


class QuestionReader:
    """Reads questions by the phrasings of `questions.toml` and the names of a book."""

    def __init__(self, vectors: Vectors, known: Collection[str], findings: Collection[str]) -> None:
        document = tomllib.loads(resources.files(__package__).joinpath("questions.toml").read_text("utf-8"))
        phrasings = cast("Mapping[str, Sequence[str]]", document["phrasings"])
        plain = [text.replace("{name}", " ") for own in phrasings.values() for text in own]
        self.book = NameBook(known, [*plain, *document["plain"]])
        self._findings = frozenset(findings)
        filled = {kind: [self._form(text.replace("{name}", MASK)) for text in own] for kind, own in phrasings.items()}
        self._classifier = PhrasingClassifier(vectors, filled)

    def read(self, text: str, spans: Sequence[str] = ()) -> tuple[Question, ...]:
        """The questions of a text, at least one. `spans` are stretches of it that a reader took for names."""
        pieces = _pieces(NO_TOOLS.sub(" ", text))
        named = [self.book.find(piece, spans) for piece in pieces]
        guesses = self._classifier.guess([self.book.masked(*pair) for pair in zip(pieces, named, strict=True)])
        read: list[Question] = []
        names: tuple[str, ...] = ()
        for piece, own, guess in zip(pieces, named, guesses, strict=True):
            names = tuple(dict.fromkeys(one.name for one in own)) or names
            read.append(self._question(self.book.masked(piece, own), names, guess))
        sure = [(one, piece) for one, piece in zip(read, pieces, strict=True) if one.sure]
        asked = [one for one, piece in sure if _is_asked(one, piece)]
        chosen = asked or [one for one, _ in sure] or [Question("other", sure=False, score=0.0)]
        return tuple(dict.fromkeys(chosen))[:MAX_QUESTIONS]

    def _question(self, masked: str, names: tuple[str, ...], guess: Guess) -> Question:
        """The question of a piece; one that names nothing is about the names of the piece before."""
        kind = cast("Kind", guess.kind)
        sure = guess.score >= SURE_SCORE and guess.lead >= SURE_LEAD
        if kind not in ABOUT_NAMES:
            return Question(kind, (), sure, guess.score)
        if kind == "presence" and self._is_finding(names) and _SIDES.search(masked):
            kind = "side"
        if kind == "side":
            names = tuple(name for name in names if self._is_finding((name,))) or names
        return Question(kind, names, sure, guess.score)

    def _is_finding(self, names: Sequence[str]) -> bool:
        return any(self._findings & set(self.book.shown(name)) for name in names)

    def _form(self, phrasing: str) -> str:
        """A phrasing as questions are compared with it: names that it holds are masked too."""
        return self.book.masked(phrasing, self.book.find(phrasing))


def _is_asked(question: Question, piece: str) -> bool:
    """Whether a piece is more than a remark beside a question."""
    return question.kind != "other" or piece.endswith("?")


def _pieces(text: str) -> list[str]:
    """The sentences of a text, and the questions within them; each question ends with its sentence's mark."""
    pieces: list[str] = []
    for match in _SENTENCE.finditer(text):
        *first, last = _NEXT_QUESTION.split(match[0].strip())
        mark = "?" if last.endswith("?") else ""
        pieces += [*(f"{piece}{mark}" for piece in first), last]
    return [piece for piece in pieces if re.search(r"\w", piece)]
