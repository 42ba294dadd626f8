"""The classification tool: probabilities of labels for a whole image, by contrastive image-text matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mmedagent.networks.clip import ClipModel, load_clip
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import CheckpointError, InvalidParametersError, MMedAgentError
from mmedagent.protocol.invocation import ImageRef, ToolCall
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.tool import Batching, PixelArray, ToolContext, ToolOutput
from mmedagent.tool_workers.classification.vectors import LabelVectors
from mmedagent.tool_workers.classification.words import Words, load_words

DEFAULT_TASK = "modality"


@dataclass(frozen=True)
class Question:
    """What is asked of one image: labels with their prompts, and the temperature to answer with."""

    image: ImageRef
    task: str | None
    labels: dict[str, tuple[str, ...]]
    temperature: float


@dataclass(frozen=True)
class Loaded:
    """What `load` reads: the network, its words, and the vectors of labels that were asked for."""

    model: ClipModel
    words: Words
    vectors: LabelVectors


class ClassificationTool:
    """Compares an image with labels in words. The labels are a task's or the user's own.

    The probabilities are those of exactly one of the labels being right: with labels of the user's own that all miss,
    the least wrong one still gets the most. A task abstains, with no label, on what does not look like a medical image.
    """

    batching = Batching(max_size=8, max_wait_s=0.005)

    def __init__(self, *, checkpoint: Path | None) -> None:
        self._checkpoint = checkpoint
        self._card = load_card("classification")
        self._loaded: Loaded | None = None

    @property
    def card(self) -> ToolCard:
        return self._card

    def load(self, device: str) -> None:
        if self._checkpoint is None:
            raise CheckpointError("Classification needs a checkpoint folder.")
        words = load_words(self._checkpoint)
        model = load_clip(self._checkpoint).to(device)
        self._loaded = Loaded(model, words, LabelVectors(model.encode_texts))
        self._card = self._card.model_copy(update={"checkpoint_sha256": model.checkpoint_sha256})
        self._self_test()

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        questions = [self._question(call) for call in calls]
        frames: dict[str, PixelArray] = {}
        lost: dict[str, MMedAgentError] = {}
        for image in {asked.image.sha256: asked.image for asked in questions if isinstance(asked, Question)}.values():
            try:
                frames[image.sha256] = context.frame(image)
            except MMedAgentError as error:
                lost[image.sha256] = error
        context.raise_if_cancelled()
        vectors = dict(zip(frames, self._ready.model.encode_images(list(frames.values())), strict=True))
        context.raise_if_cancelled()
        return [
            asked
            if isinstance(asked, MMedAgentError)
            else lost.get(asked.image.sha256) or self._answer(asked, vectors[asked.image.sha256])
            for asked in questions
        ]

    @property
    def _ready(self) -> Loaded:
        if self._loaded is None:
            raise CheckpointError("The classification network is not loaded.")
        return self._loaded

    def _question(self, call: ToolCall) -> Question | MMedAgentError:
        if call.image is None:
            return InvalidParametersError("Classification needs an image.")
        words = self._ready.words
        given = call.parameters.get("labels")
        if given is not None:
            labels = {label: words.prompts_of(label) for label in cast("list[str]", given)}
            if len(labels) < 2:
                return InvalidParametersError("Classification needs at least two different labels.")
            return Question(call.image, None, labels, words.temperature)
        task = str(call.parameters.get("task", DEFAULT_TASK))
        if task not in words.tasks:
            return InvalidParametersError(f"This classifier has no labels for {task}: give labels of your own.")
        return Question(call.image, task, dict(words.tasks[task].labels), words.tasks[task].temperature)

    def _answer(self, question: Question, vector: NDArray[np.float32]) -> ToolOutput:
        loaded = self._ready
        gate = loaded.words.gate
        medical = float(self._chances(gate.labels, gate.temperature, vector)[0]) if gate else None
        chances = self._chances(question.labels, question.temperature, vector)
        names = list(question.labels)
        abstains = question.task is not None and gate is not None and medical is not None and medical < gate.threshold
        order = [] if abstains else np.argsort(-chances, kind="stable").tolist()
        data: JsonObject = {
            "labels": [names[place] for place in order],
            "probabilities": [float(chances[place]) for place in order],
            "task": question.task,
            "medical_probability": medical,
        }
        return ToolOutput(data=data, preprocessing=loaded.model.preprocessing)

    def _chances(
        self, labels: Mapping[str, tuple[str, ...]], temperature: float, vector: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Probabilities of labels with their prompts, for an image's unit vector."""
        loaded = self._ready
        cosines = loaded.vectors.of(list(labels.values())) @ vector
        return softmax(cosines.astype(np.float64) * loaded.model.logit_scale / temperature)

    def _self_test(self) -> None:
        """Encode a blank image and the labels of the default task, which are thereby kept."""
        loaded = self._ready
        if DEFAULT_TASK not in loaded.words.tasks:
            raise CheckpointError(f"The words of the classifier have no labels for {DEFAULT_TASK}.")
        blank = loaded.model.encode_images([np.zeros((64, 64), np.uint8)])
        labels = list(loaded.words.tasks[DEFAULT_TASK].labels.values())
        if not np.isfinite(loaded.vectors.of(labels) @ blank[0]).all():
            raise CheckpointError("The classification network gives values that are not finite.")


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities that sum to 1."""
    powers = np.exp(logits - logits.max())
    chances: NDArray[np.float64] = powers / powers.sum()
    return chances
