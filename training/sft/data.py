"""What a run learns from: dialogues that are short enough, with their images, and batches of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from mmedagent.imaging.decode import decode_file
from mmedagent.networks.families import family_of
from mmedagent.protocol.errors import InvalidRequestError, RequestError
from mmedagent.protocol.planner_format import IMAGE_PLACEHOLDERS
from mmedagent.training.instructions.dialogues import Dialogue
from mmedagent.training.instructions.importer import read_dialogues
from mmedagent.training.sft.settings import TrainingSettings
from mmedagent.training.sft.tokens import ANY_SIZE, IGNORED, Encoder, Tokens

TOO_LONG = "longer than recipe.max_tokens"


@dataclass(frozen=True)
class Sample:
    """A dialogue as tokens, and the file of its image."""

    tokens: Tokens
    image: Path | None


@dataclass(frozen=True)
class Samples(Dataset[Sample]):
    """What is learnt, and how many rows of the files are not, by reason; `ignored` are fields that were not read."""

    found: tuple[Sample, ...]
    left_out: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, place: int) -> Sample:
        return self.found[place]


def read_samples(settings: TrainingSettings, processor: Any) -> Samples:
    """Read the files of a run.

    A dialogue that is too long is left out as a whole: cut, it would teach to end in the middle.

    Raises:
        InvalidRequestError: a file or row is not what it should be, an image is missing, or nothing is left.
    """
    encoder = Encoder(processor, settings.planner.tools_in_prompt)
    keeps_shape = family_of(processor).keeps_shape
    samples: list[Sample] = []
    left_out: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    for path in settings.data:
        imported = read_dialogues(path, leave_out=settings.leave_out_bad_rows)
        left_out += imported.left_out
        ignored += imported.ignored
        for dialogue in imported.dialogues:
            image = _image_of(dialogue, settings)
            size = _frame(image).size[::-1] if image is not None and keeps_shape else ANY_SIZE
            tokens = encoder.encode(dialogue, with_image=image is not None, size=size)
            if len(tokens.ids) > settings.recipe.max_tokens:
                left_out[TOO_LONG] += 1
            else:
                samples.append(Sample(tokens, image))
    if not samples:
        raise InvalidRequestError(f"No dialogue is left to learn from. Left out: {dict(left_out) or 'none'}.")
    return Samples(tuple(samples), left_out, ignored)


def _image_of(dialogue: Dialogue, settings: TrainingSettings) -> Path | None:
    if not dialogue.has_image or settings.without_images:
        return None
    advice = "Set images to the folder that holds it, or without_images = true to learn from the words alone."
    if settings.images is None or dialogue.image in IMAGE_PLACEHOLDERS:
        raise InvalidRequestError(f"The dialogue {dialogue.name} has an image, {dialogue.image}. {advice}")
    path = settings.images / dialogue.image
    if not path.is_file():
        raise InvalidRequestError(f"The image of the dialogue {dialogue.name} is missing: {dialogue.image}. {advice}")
    return path


class Collator:
    """Makes a batch: `input_ids`, `attention_mask` and `labels` of shape (rows, tokens), padded on the right, and what
    the family of the model takes of the images, where a row has one.

    Images are decoded as the server decodes them, so that the planner is trained on the frames that it will see.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._family = family_of(processor)
        tokenizer = processor.tokenizer
        self._pad: int = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    def __call__(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        ids = [sample.tokens.ids.long() for sample in samples]
        batch = {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=self._pad),
            "attention_mask": pad_sequence([torch.ones_like(one) for one in ids], batch_first=True),
            "labels": pad_sequence(
                [sample.tokens.labels.long() for sample in samples], batch_first=True, padding_value=IGNORED
            ),
        }
        frames = [_frame(sample.image) for sample in samples if sample.image is not None]
        images = dict(self._processor.image_processor(frames, return_tensors="pt")) if frames else {}
        return batch | self._family.batch_fields(self._processor, batch["input_ids"], images)


def _frame(path: Path) -> Image.Image:
    try:
        return Image.fromarray(decode_file(path).frame.pixels).convert("RGB")
    except RequestError as error:
        raise InvalidRequestError(f"The image {path.name} cannot be learnt from: {error.detail}") from error
