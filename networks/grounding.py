"""Open-vocabulary detection with Grounding DINO (Liu et al. 2023, arXiv 2303.05499), on the network of transformers.

The folders that are read are described in `mmedagent.networks.grounding_folder`.

The attention implementation is never set: with "eager", transformers 5.23 adds the boolean mask of the text tower
instead of masking with it, and the probabilities are wrong without an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from torchvision.ops import batched_nms

from mmedagent.networks.checkpoints import CheckpointError, load_state, read_json, sha256_file
from mmedagent.networks.grounding_folder import (
    NMS_IOU,
    build_network,
    fit_network,
    own_state,
    read_folder,
    read_tokenizer,
    with_lead,
)
from mmedagent.networks.grounding_original import read_original

if TYPE_CHECKING:
    from transformers import GroundingDinoForObjectDetection

__all__ = [
    "Caption",
    "Detections",
    "GroundingDino",
    "Preprocessing",
    "build_network",
    "caption_of",
    "load_grounding",
    "own_state",
    "read_out",
    "to_corners",
]

TEXT_THRESHOLD = 0.25
"""A token below this does not count towards a phrase (the published demo's value)."""

MAX_BOXES = 256
SEPARATOR = "."


@dataclass(frozen=True)
class Preprocessing:
    """How pixels are prepared.

    Attributes:
        height, width: the fixed size in pixels, or None to keep the aspect ratio.
        shortest, longest: where the ratio is kept, the shorter side becomes `shortest` unless the longer would pass
            `longest`.
        mean, std: per channel, on a scale of 1.
    """

    height: int | None = None
    width: int | None = None
    shortest: int = 800
    longest: int = 1333
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """Height and width in pixels that an image of this size is resized to."""
        if self.height is not None and self.width is not None:
            return self.height, self.width
        scale = min(self.shortest / min(height, width), self.longest / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def __str__(self) -> str:
        fixed = (
            f"{self.width}x{self.height}" if self.height else f"shortest side {self.shortest}, at most {self.longest}"
        )
        return f"RGB, bilinear resize to {fixed}, mean {self.mean}, std {self.std}"


class Caption(NamedTuple):
    """Prompts as the network reads them.

    Attributes:
        ids: int64 (1, tokens), "[CLS] a . b . [SEP]".
        phrase: int64 (tokens,), the place of the prompt that a token belongs to, -1 for separators and leads.
    """

    ids: Tensor
    phrase: Tensor


class Detections(NamedTuple):
    """What was found, best first.

    Attributes:
        boxes: float32 (n, 4), x1, y1, x2, y2 in [0, 1] of the image's width and height, not rounded.
        scores: float32 (n,) in [0, 1].
        phrases: the prompt that each box answers to.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    phrases: tuple[str, ...]


class GroundingDino:
    """A loaded detector.

    Attributes:
        network: transformers' network in evaluation mode.
        sha256: of the weights file.
        lead: what every name in a caption comes after.
        nms_iou: of two boxes of a name that overlap by more than this, the lesser is dropped.
    """

    def __init__(
        self, network: GroundingDinoForObjectDetection, tokenizer: Tokenizer, preprocessing: Preprocessing, sha256: str,
        lead: str = "", nms_iou: float = NMS_IOU,
    ) -> None:  # fmt: skip
        self.network = network.eval()
        self.tokenizer = tokenizer
        self.preprocessing = preprocessing
        self.sha256 = sha256
        self.lead = lead
        self.nms_iou = nms_iou

    @property
    def device(self) -> torch.device:
        return torch.device(self.network.device)

    def to(self, device: str | torch.device) -> GroundingDino:
        self.network.to(device)
        return self

    @torch.inference_mode()
    def detect(
        self, images: Sequence[NDArray[np.uint8]], prompts: Sequence[Sequence[str]], thresholds: Sequence[float]
    ) -> list[Detections]:
        """Find what each image's prompts name.

        Args:
            images: uint8 (H, W) or (H, W, 3).
            prompts: for each image, one or more names; letter case does not matter.
            thresholds: for each image, the least score of a box in [0, 1].

        Returns:
            one result an image; empty where nothing reaches the threshold.
        """
        results: list[Detections | None] = [None] * len(images)
        prepared = [self.prepare(image) for image in images]
        captions = [caption_of(self.tokenizer, names, self.lead) for names in prompts]
        groups: dict[tuple[int, ...], list[int]] = {}
        for place, (pixels, caption) in enumerate(zip(prepared, captions, strict=True)):
            groups.setdefault((*pixels.shape, caption.ids.shape[1]), []).append(place)
        for places in groups.values():
            outputs = self.network(
                pixel_values=torch.stack([prepared[place] for place in places]).to(self.device),
                input_ids=torch.cat([captions[place].ids for place in places]).to(self.device),
            )
            logits, boxes = outputs.logits.float().cpu(), outputs.pred_boxes.float().cpu()
            for row, place in enumerate(places):
                results[place] = read_out(
                    logits[row], boxes[row], captions[place], prompts[place], thresholds[place],
                    self.nms_iou,
                )  # fmt: skip
        return [result for result in results if result is not None]

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Pixels, uint8 (H, W) or (H, W, 3), to the network's input, float32 (3, h, w)."""
        planes = torch.from_numpy(np.array(np.atleast_3d(image), dtype=np.float32)).permute(2, 0, 1)[None] / 255
        size = self.preprocessing.size_for(image.shape[0], image.shape[1])
        planes = functional.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True)
        mean = torch.tensor(self.preprocessing.mean).view(1, 3, 1, 1)
        std = torch.tensor(self.preprocessing.std).view(1, 3, 1, 1)
        pixels: Tensor = ((planes.expand(1, 3, -1, -1) - mean) / std)[0]
        return pixels


def caption_of(tokenizer: Tokenizer, prompts: Sequence[str], lead: str = "") -> Caption:
    """Join prompts into one caption, each after the lead.

    Full stops inside a prompt are left out, because they separate prompts.
    """
    start, stop, end = (tokenizer.token_to_id(token) for token in ("[CLS]", SEPARATOR, "[SEP]"))
    leading = len(tokenizer.encode(lead, add_special_tokens=False).ids)
    ids, phrase = [start], [-1]
    for place, prompt in enumerate(prompts):
        words = " ".join(prompt.replace(SEPARATOR, " ").lower().split())
        encoded = tokenizer.encode(with_lead(words, lead), add_special_tokens=False).ids
        tokens = [token for token in encoded if token != stop]
        ids += [*tokens, stop]
        phrase += [*([-1] * leading), *([place] * (len(tokens) - leading)), -1]
    return Caption(torch.tensor([[*ids, end]]), torch.tensor([*phrase, -1]))


def read_out(
    logits: Tensor, boxes: Tensor, caption: Caption, prompts: Sequence[str], threshold: float, nms_iou: float = NMS_IOU
) -> Detections:
    """Boxes of one image from token logits (queries, tokens) and cxcywh boxes (queries, 4), both of one image.

    Every prompt is answered on its own: a box may answer to several, and hides only lesser boxes of the same prompt.
    """
    chances = logits[:, : len(caption.phrase)].sigmoid()
    chances = torch.where(chances >= min(TEXT_THRESHOLD, threshold), chances, torch.zeros(()))
    scores = torch.zeros(len(chances), len(prompts))
    for place in range(len(prompts)):
        own = caption.phrase == place
        if bool(own.any()):
            scores[:, place] = chances[:, own].amax(dim=1)
    query, owner = (scores >= max(threshold, 1e-6)).nonzero(as_tuple=True)
    best, corners = scores[query, owner], to_corners(boxes[query]).clamp(0, 1)
    kept: Tensor = batched_nms(corners, best, owner, nms_iou)[:MAX_BOXES]
    kept = kept[((corners[kept, 2:] - corners[kept, :2]) > 0).all(dim=1)]
    return Detections(corners[kept].numpy(), best[kept].numpy(), tuple(prompts[int(one)] for one in owner[kept]))


def to_corners(boxes: Tensor) -> Tensor:
    """cx, cy, w, h to x1, y1, x2, y2, both (..., 4)."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def load_grounding(folder: Path, sha256: str | None = None) -> GroundingDino:
    """Load a folder, see `grounding_folder`, to the CPU, every key and shape strictly.

    Raises:
        CheckpointError: a file is missing, damaged, not the pinned one, or does not fit the architecture.
    """
    described = read_folder(folder)
    weights, pin = described.weights, sha256 or described.sha256
    state = read_original(weights, pin) if described.original else load_state(weights, pin)
    network = fit_network(described, state)
    tokenizer, pixels = read_tokenizer(folder), read_preprocessing(folder)
    return GroundingDino(network, tokenizer, pixels, sha256_file(weights), described.lead, described.nms_iou)


def read_preprocessing(folder: Path) -> Preprocessing:
    """From `preprocessor_config.json`, or the published values where there is none. Raises `CheckpointError`."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return Preprocessing()
    values = read_json(path)
    try:
        size = values.get("size", {})
        return Preprocessing(
            height=_pixels(size.get("height")),
            width=_pixels(size.get("width")),
            shortest=int(size.get("shortest_edge", Preprocessing.shortest)),
            longest=int(size.get("longest_edge", Preprocessing.longest)),
            mean=_channels(values.get("image_mean", Preprocessing.mean)),
            std=_channels(values.get("image_std", Preprocessing.std)),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path.name} does not say how pixels are prepared: {error}") from error


def _pixels(value: Any) -> int | None:
    return None if value is None else int(value)


def _channels(values: Any) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) != 3:
        raise ValueError(f"{len(numbers)} channels, not 3")
    return numbers
