"""Answers about an image from a look at it, without a tool."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mmedagent.model_worker.compact import talk
from mmedagent.model_worker.compact.impression_words import CANNOT_TELL, NOT_UNDERSTOOD, SOURCE, percent, worded
from mmedagent.model_worker.compact.impressions import Impression, Knowledge, impressions
from mmedagent.model_worker.compact.modalities import named_kind, stated_kind
from mmedagent.model_worker.compact.places import UNLIKELY, is_out_of_place
from mmedagent.model_worker.compact.questions import Kind, Question, QuestionReader
from mmedagent.networks.glance import Glance, LoadedGlance
from mmedagent.networks.glance_reading import NOT_MEDICAL
from mmedagent.networks.planner_checkpoint import LoadedPlanner
from mmedagent.networks.planner_reader import AskReader
from mmedagent.networks.planner_sentences import sentence_vectors
from mmedagent.networks.planner_text import read_ask_text
from mmedagent.protocol.invocation import ImageRef
from mmedagent.serving.tool import PixelArray

NOT_MEDICAL_FROM = 0.5
CANNOT_LOOK = "I cannot look at the image itself on this server."
UNRELIABLE = "What the network would say about the rest of this image cannot be relied upon, so I cannot tell."
_NAMING = frozenset({"grounding", "grounded_segmentation", "image_question"})
"""Outcomes whose names are structures and findings; the names of others are labels or options."""


@dataclass(frozen=True)
class Look:
    """An answer in words, what was asked, and what the answer says; file facts and refusals have no impressions."""

    text: str
    questions: tuple[Question, ...] = ()
    impressions: tuple[Impression, ...] = ()


class LookAnswerer:
    """Answers questions about a frame. Without an image tower it says so and gives the facts of the file.

    `answer("Is the liver in view?", frame).impressions` says which value was given with which probability.
    """

    def __init__(self, loaded: LoadedPlanner) -> None:
        self._asks = AskReader(loaded.net, loaded.tokenizer, loaded.config.temperature)
        self._tower = loaded.glance
        self._questions = _question_reader(loaded, loaded.glance) if loaded.glance is not None else None

    def questions(self, text: str, names: Sequence[str]) -> tuple[Question, ...]:
        """What a text asks about an image; `names` are stretches of it that name something."""
        return self._questions.read(text, names) if self._questions is not None else ()

    def knows(self, name: str) -> bool:
        return self._questions is not None and bool(self._questions.book.shown(name))

    def out_of_place(self, names: Sequence[str], frame: PixelArray | None, image: ImageRef | None) -> str:
        """What the image shows, when it surely shows none of the names; empty where that is not sure."""
        known = [self._known(name) for name in names]
        glance = self._glance(frame, image) if known and all(known) else None
        if glance is None or not all(is_out_of_place(one, glance) for shown in known for one in shown):
            return ""
        return _kind(glance)

    def _known(self, name: str) -> tuple[str, ...]:
        """The tower's names for what a user names; () for what it does not know."""
        if self._questions is None:
            return ()
        found = self._questions.book.find(name, [name])
        return self._questions.book.shown(found[0].name) if len(found) == 1 else ()

    def of_another_kind(self, modalities: Sequence[str], frame: PixelArray | None, image: ImageRef | None) -> str:
        """What the image shows, when it surely is of none of these modalities; empty where that is not sure."""
        glance = self._glance(frame, image)
        if glance is None or sum(glance.chances["modality"].get(one, 0.0) for one in modalities) > UNLIKELY:
            return ""
        return _kind(glance)

    def _glance(self, frame: PixelArray | None, image: ImageRef | None) -> Glance | None:
        """A look at the frame, if it tells a modality that the header does not contradict."""
        if self._tower is None or self._questions is None or frame is None:
            return None
        glance = self._tower.at(np.asarray(frame))
        knowledge = Knowledge(self._questions.book, self._tower.config.accuracies)
        modality = impressions(Question("modality"), glance, knowledge)[0]
        sure = modality.value not in (None, NOT_MEDICAL) and not _disagrees(modality, image)
        return glance if sure else None

    def answer(
        self,
        question: str,
        frame: PixelArray | None,
        image: ImageRef | None = None,
        tools: Collection[str] = (),
        names: Sequence[str] | None = None,
    ) -> Look:
        """Answer from the frame, uint8 (H, W) or (H, W, 3), and from the facts of `image`; `tools` may be offered."""
        if self._tower is None or self._questions is None or frame is None:
            return Look(" ".join([CANNOT_LOOK, *talk.file_facts(image)]))
        asked = self.questions(question, self._names(question) if names is None else names)
        knowledge = Knowledge(self._questions.book, self._tower.config.accuracies)
        return look(asked, self._tower.at(np.asarray(frame)), knowledge, image, tools)

    def _names(self, question: str) -> tuple[str, ...]:
        parts = self._asks.read(read_ask_text(question))
        return tuple(name for part in parts if part.outcome in _NAMING for name in part.names)


def look(
    asked: Sequence[Question],
    glance: Glance,
    knowledge: Knowledge,
    image: ImageRef | None = None,
    tools: Collection[str] = (),
) -> Look:
    """The answer to questions from a glance, of which nothing more is said where it contradicts the header."""
    sentences: list[str] = []
    found: list[Impression] = []
    for question in asked:
        if question.kind == "file":
            sentences += talk.file_facts(image)
        elif question.kind == "other":
            sentences.append(CANNOT_TELL if question.sure else NOT_UNDERSTOOD)
        else:
            own, words = _looked(question, glance, knowledge, image, tools)
            found += own
            sentences += words
    if any(one.value is not None or one.reason in {"header", "not medical"} for one in found):
        sentences.append(SOURCE)
    return Look(" ".join(dict.fromkeys(sentences)), tuple(asked), tuple(found))


def _looked(
    question: Question, glance: Glance, knowledge: Knowledge, image: ImageRef | None, tools: Collection[str]
) -> tuple[tuple[Impression, ...], list[str]]:
    kind = question.kind
    facts = talk.file_facts(image) if kind == "describe" else []
    strange = glance.chances["modality"].get(NOT_MEDICAL, 0.0)
    if strange >= NOT_MEDICAL_FROM:
        seen = Impression("modality", "", NOT_MEDICAL, strange)
        known = seen if kind == "modality" else Impression(kind, reason="not medical")
        return (known,), [_not_medical(strange, image), *facts]
    modality = impressions(Question("modality"), glance, knowledge)[0]
    if _disagrees(modality, image):
        if kind == "modality":
            return (modality,), _stated(modality, image)
        return (Impression(kind, reason="header"),), [*_stated(modality, image), UNRELIABLE, *facts]
    own = impressions(question, glance, knowledge)
    return own, [*worded(own, "grounding" in tools), *_header(kind, own[0], image), *facts]


def _kind(glance: Glance) -> str:
    modality, anatomy = (glance.best(head)[0] for head in ("modality", "anatomy"))
    return f"{modality} of the {anatomy}" if anatomy else modality


def _not_medical(chance: float, image: ImageRef | None) -> str:
    sentence = f"This does not look like a medical image ({percent(chance)}), so I say nothing about what is in it."
    if image is None or not image.modality:
        return sentence
    return f"{sentence} The file's header states the modality {image.modality}, so trust the header."


def _disagrees(modality: Impression, image: ImageRef | None) -> bool:
    stated = stated_kind(image)
    return modality.value is not None and stated is not None and named_kind(modality.value) != stated


def _header(kind: Kind, own: Impression, image: ImageRef | None) -> list[str]:
    """What the file's header states about what was asked."""
    if image is None:
        return []
    if kind == "modality":
        return _stated(own, image)
    stated = {"body_part": ("body part", image.body_part), "side": ("side", image.laterality)}.get(kind)
    if stated is None or not stated[1]:
        return []
    return [f"The file's header states the {stated[0]} {stated[1]}; where the two differ, trust the header."]


def _stated(modality: Impression, image: ImageRef | None) -> list[str]:
    """The modality in the file's header against the one at a glance."""
    if image is None or not image.modality:
        return []
    if modality.value is None or stated_kind(image) is None:
        return [f"The file's header states the modality {image.modality}."]
    if not _disagrees(modality, image):
        return [f"The file's header agrees: it states the modality {image.modality}."]
    chance = "" if modality.probability is None else f" ({percent(modality.probability)})"
    seen = f"{modality.value}{chance}"
    return [f"The file's header states the modality {image.modality}, but this looks like {seen}. Trust the header."]


def _question_reader(loaded: LoadedPlanner, tower: LoadedGlance) -> QuestionReader:
    names = tower.config.names
    return QuestionReader(
        partial(sentence_vectors, loaded.net, loaded.tokenizer),
        known={*names["structures"], *names["findings"]},
        findings=names["findings"],
    )
