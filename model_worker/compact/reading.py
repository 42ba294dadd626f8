"""What the planner understands of a request before it decides anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from mmedagent.model_worker.compact import talk
from mmedagent.model_worker.compact.context import in_context, refers_back
from mmedagent.model_worker.compact.looking import Look, LookAnswerer
from mmedagent.model_worker.compact.questions import ABOUT_NAMES, NO_TOOLS, Question
from mmedagent.model_worker.compact.quotations import QuotationReader
from mmedagent.networks.planner_net import HARMLESS
from mmedagent.networks.planner_parts import Part
from mmedagent.networks.planner_reader import AskReader
from mmedagent.networks.planner_text import AskText, FrameSize
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import PlannerRequest
from mmedagent.serving.tool import PixelArray

MAX_ASKS = 8
"""Asks of a conversation that are read, the last one included."""

CLEAR_SCORE = 0.5
"""An ask that the reader is not sure of is taken for a question about the image from this score on."""

_NAMED = frozenset({"grounding", "grounded_segmentation"})
_LABELLED = frozenset({"modality", "view", "technique", "body_part", "abnormal", "findings"})
_LOOKED_AT = {"grounding": ABOUT_NAMES, "classification": _LABELLED}
"""What a look can answer in place of a tool."""


@dataclass(frozen=True)
class Reading:
    """The parts of an ask, its coordinates, and a look at the image where an outcome needs one.

    `misplaced` says why the image is not for some of the parts, which are not among `parts`.
    """

    ask: AskText
    parts: tuple[Part, ...]
    look: Look | None = None
    misplaced: tuple[str, ...] = ()

    @property
    def confidence(self) -> float:
        return min((part.confidence for part in self.parts), default=0.0)

    @property
    def tool_parts(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.wants_tool)

    def has(self, outcome: str) -> bool:
        return any(part.outcome == outcome for part in self.parts)


class RequestReader:
    """Reads the last message of the user, and the ones before it for what it refers to."""

    def __init__(self, asks: AskReader, looker: LookAnswerer, threshold: float) -> None:
        self._asks = QuotationReader(asks, threshold)
        self._looker = looker
        self._threshold = threshold

    def read(self, request: PlannerRequest, frame: PixelArray | None) -> Reading:
        size = (request.image.width, request.image.height) if request.image is not None else None
        *before, text = [message.text for message in request.messages if message.role == "user"][-MAX_ASKS:] or [""]
        ask, parts = self._asks.read(text, size)
        if any(refers_back(part) for part in parts):
            parts = in_context(parts, self._known(before, size))
        if request.image is None:
            return Reading(ask, parts)
        parts = _without_tools(parts, ask)
        parts = tuple(self._taken_for_question(part) for part in parts)
        tools = {card.name: card for card in request.tools}
        parts, misplaced = self._in_view(parts, tools, frame, request.image)
        looked = [part for part in parts if part.outcome == "image_question" or self._stands_in(part, tools.keys())]
        if not looked:
            return Reading(ask, parts, misplaced=misplaced)
        words = "\n".join(part.words for part in looked)
        names = [name for part in looked for name in _names(part)]
        return Reading(ask, parts, self._looker.answer(words, frame, request.image, tools, names), misplaced)

    def _in_view(
        self, parts: Sequence[Part], cards: Mapping[str, ToolCard], frame: PixelArray | None, image: ImageRef
    ) -> tuple[tuple[Part, ...], tuple[str, ...]]:
        """The parts without those that the image is not for, and what is to be said of these."""
        kept, notes = [], []
        for part in parts:
            note = self._misplaced(part, cards, frame, image)
            notes += [note] if note else []
            kept += [] if note else [part]
        return tuple(kept), tuple(dict.fromkeys(notes))

    def _misplaced(self, part: Part, cards: Mapping[str, ToolCard], frame: PixelArray | None, image: ImageRef) -> str:
        """Why the image is not for a part: it cannot show what is named, or the tool is for another modality only."""
        if part.outcome in _NAMED and part.names:
            seen = self._looker.out_of_place(part.names, frame, image)
            return talk.elsewhere(part.names, seen) if seen else ""
        card = cards.get(part.outcome)
        if card is None or len(card.modalities) != 1:
            return ""
        seen = self._looker.of_another_kind(card.modalities, frame, image)
        return talk.other_kind(card.name, card.modalities[0], seen) if seen else ""

    def _known(self, texts: Sequence[str], size: FrameSize | None) -> list[Part]:
        """The parts of the asks before, oldest first, each in the context of those before it."""
        known: list[Part] = []
        for text in texts:
            known += in_context(self._asks.read(text, size)[1], known)
        return known

    def _taken_for_question(self, part: Part) -> Part:
        """An ask that would be asked back, as the question about the image that it clearly is."""
        unsure = part.confidence < self._threshold and part.outcome in {*HARMLESS, "classification"}
        if not (unsure or part.outcome == "clarify") or part.runner_up == "unsafe":
            return part
        questions = self._looker.questions(part.words, _names(part))
        clear = bool(questions) and all(self._is_clear(question) for question in questions)
        return replace(part, outcome="image_question", confidence=1.0) if clear else part

    def _stands_in(self, part: Part, tools: Collection[str]) -> bool:
        """Whether a look can answer a part whose tool is not there."""
        kinds = _LOOKED_AT.get(part.outcome, frozenset())
        if part.outcome in tools or not kinds:
            return False
        questions = self._looker.questions(part.words, _names(part))
        return bool(questions) and all(one.kind in kinds and one.sure for one in questions)

    def _is_clear(self, question: Question) -> bool:
        known = question.names and all(self._looker.knows(name) for name in question.names)
        return question.score >= CLEAR_SCORE and bool(question.kind in _LABELLED or known)


def _without_tools(parts: Sequence[Part], ask: AskText) -> tuple[Part, ...]:
    """Asks that say that no tool is wanted are answered from the image where a look can."""
    if not NO_TOOLS.search(ask.text):
        return tuple(parts)
    here = {*_LOOKED_AT, "grounded_segmentation", "image_question", "clarify"}
    told = [part for part in parts if NO_TOOLS.sub("", part.words).strip(" .,;:!?-")]
    return tuple(
        replace(part, outcome="image_question", confidence=1.0) if part.outcome in here else part for part in told
    )


def _names(part: Part) -> tuple[str, ...]:
    """Structures and findings that a part names; those of a classification are labels."""
    return () if part.outcome == "classification" else part.names
