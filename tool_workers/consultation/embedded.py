"""The small doctors that this project trains itself: one network with a LoRA adapter for each role."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from mmedagent.networks.consultation_panel import (
    ATTENDING,
    BASE,
    TRIAGE,
    PanelNetwork,
    Sampling,
    Written,
    load_panel_network,
    panel_hashes,
)
from mmedagent.networks.consultation_words import CERTAIN, UNSURE, attending_prompt, triage_prompt
from mmedagent.protocol.consultation import LETTERS, Reply, chosen_option, format_reply, read_reply
from mmedagent.protocol.errors import CheckpointError, WorkerError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.serving.tool import PixelArray
from mmedagent.tool_workers.consultation.asking import Asked, asked, refused
from mmedagent.tool_workers.consultation.doctors import Case, Manner, Opinion, Said, Task, Visit

NAME = "small-consultation"
SELF_TEST = "Which modality is this?"
MAX_TOKENS = 24
"""Of a reply; those it was taught have at most 16."""

BETWEEN = "; "
"""Stands between the lines of a rationale. The last of an opinion is how certain it is."""


class EmbeddedSettings(BaseModel):
    """`tower` is the planner's folder, whose image tower the network was trained on, from the folder of panel.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tower: Path = Path("../planner")


@dataclass(frozen=True)
class HeardOpinion:
    """An opinion in the words of the network's prompts."""

    specialist: str
    choice: int
    confidence: str


class EmbeddedDoctor:
    """Takes every role with the adapter of the role. It refuses all questions but those of `questions.json`."""

    def __init__(self, folder: Path, settings: EmbeddedSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._network: PanelNetwork | None = None
        self._hashes: dict[str, str] = {}
        self.name = NAME

    @property
    def identity(self) -> str:
        return f"embedded {json.dumps(self._hashes, sort_keys=True)}"

    def load(self, device: str) -> None:
        """Load and reply once, on the CPU whatever the device: the network is too small for another.

        Raises `CheckpointError`.
        """
        network = load_panel_network(self._folder, self._folder / self._settings.tower)
        network.write(TRIAGE, [triage_prompt(SELF_TEST)], [np.zeros((1, 1), np.uint8)], MAX_TOKENS)
        self._hashes = panel_hashes(self._folder)
        self._network = network

    def answer(self, task: Task, visit: Visit) -> Said:
        if self._network is None:
            raise CheckpointError("The network of the panel is not loaded.")
        image = task.case.image
        frame = visit.frame(image)
        if image is None or frame is None:
            raise refused("There is no image to ask about")
        question = self._asked(self._network, task.case, image, frame, visit)
        visit.raise_if_over()
        role = task.specialty if task.role == "opinion" else ATTENDING if task.role == "attending" else TRIAGE
        (reply,) = self._network.write(
            role, [_prompt(task, question)], [frame], min(MAX_TOKENS, visit.manner.max_tokens), _sampling(visit.manner)
        )
        certain = self._network.questions.certain_from
        text = _reply(task, question, reply, CERTAIN if reply.probability >= certain else UNSURE)
        return Said(text, f"{NAME}:{role}", checkpoint_sha256=self._hashes[role])

    def _asked(self, network: PanelNetwork, case: Case, image: ImageRef, frame: PixelArray, visit: Visit) -> Asked:
        """What all doctors of the panel are asked, worked out once."""

        def best(question: str, groups: Sequence[tuple[str, ...]]) -> list[str]:
            prompts = [attending_prompt(question, options) for options in groups]
            replies = network.write(BASE, prompts, [frame] * len(prompts), MAX_TOKENS)
            return [_named(reply, options) or options[0] for reply, options in zip(replies, groups, strict=True)]

        key = ("asked", image.sha256, image.modality or "", case.question, *case.options, self.identity)
        return visit.context.cached(
            key, lambda: asked(network.questions, case, image, lambda: network.glance(frame), best)
        )


def embedded_doctor(table: dict[str, Any], folder: Path) -> EmbeddedDoctor:
    return EmbeddedDoctor(folder, EmbeddedSettings.model_validate(table))


def _prompt(task: Task, question: Asked) -> str:
    if task.role == "triage":
        return triage_prompt(question.question)
    heard = [one for opinion in task.opinions if (one := _heard(opinion, question)) is not None]
    return attending_prompt(question.question, question.options, heard)


def _heard(opinion: Opinion, question: Asked) -> HeardOpinion | None:
    """An opinion as the network reads it; None when it names none of the options."""
    # A short list of options has some of them twice, and then an answer names several.
    distinct = tuple(dict.fromkeys(question.options))
    choice = chosen_option(opinion.answer, distinct)
    if choice is None:
        return None
    certain = opinion.rationale.split(BETWEEN)[-1] == CERTAIN
    return HeardOpinion(opinion.specialty, choice, CERTAIN if certain else UNSURE)


def _reply(task: Task, question: Asked, reply: Written, confidence: str) -> str:
    """The reply with its option in words, and of an opinion how certain it is. Raises `WorkerError`."""
    read = read_reply(reply.text)
    if read is None:
        raise WorkerError("The reply is not in its form.")
    lines = read.rationale.splitlines()
    if task.role == "triage":
        return format_reply(Reply(BETWEEN.join(lines), read.answer))
    answer = _named(reply, question.options)
    if answer is None:
        raise WorkerError("The reply names none of the options.")
    if task.role == "opinion":
        lines.append(confidence)
    return format_reply(Reply(BETWEEN.join(lines), answer))


def _named(reply: Written, options: Sequence[str]) -> str | None:
    """The option whose letter is the answer."""
    read = read_reply(reply.text)
    letters = LETTERS[: len(options)]
    return options[letters.index(read.answer)] if read is not None and read.answer in tuple(letters) else None


def _sampling(manner: Manner) -> Sampling | None:
    return Sampling(manner.temperature, manner.seed or 0) if manner.temperature else None
