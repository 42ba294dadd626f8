"""The contrastive objective: every image against the phrasings of every label, and against captions of whole images.

MiniLM stays as it is, so each text is encoded by it once; only the projection into the common space is learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mmedagent.networks.clip import ClipModel
from mmedagent.training.classification_captions import (
    ANATOMIES,
    FINDINGS,
    MODALITIES,
    STAINS,
    Label,
    captions,
    found,
    index_of,
    phrasings,
)
from mmedagent.training.classification_data import Labels

TASKS: dict[str, tuple[Label, ...]] = {
    "modality": MODALITIES,
    "anatomy": ANATOMIES,
    "histology": STAINS,
    "finding": FINDINGS,
}
_WEIGHTS = {"modality": 1.0, "anatomy": 0.5, "histology": 0.3, "finding": 0.5}
_CAPTION_WEIGHT = 0.4
_SMOOTHING = 0.02
_ENCODING_BATCH = 64


@dataclass(frozen=True)
class Targets:
    """What a batch of n images shows.

    Attributes:
        tasks: for each task a distribution over its labels, (n, labels); rows of zeros where the task does not apply.
        scenes: place of each image's captions in `Texts.scenes`, (n,); -1 where only the modality is sure.
    """

    tasks: dict[str, Tensor]
    scenes: Tensor


def target_row(labels: Labels, task: str, close: bool) -> Tensor:
    """The distribution over a task's labels for one image; zeros when the view is too close to tell."""
    row = torch.zeros(len(TASKS[task]))
    if task == "modality":
        row[index_of(MODALITIES, labels.modality)] = 1
    elif task == "histology" and labels.stain is not None:
        row[index_of(STAINS, labels.stain)] = 1
    elif task == "anatomy" and not close:
        row[index_of(ANATOMIES, labels.anatomy)] = 1
    elif task == "finding" and not close:
        places = found(labels)
        row[list(places)] = 1 / len(places)
    return row


class Texts:
    """All texts of the training, encoded by MiniLM once.

    Attributes:
        scenes: (modality, anatomy, findings) of every kind of image in the data, in the order of the captions.
    """

    def __init__(self, model: ClipModel, labels: Sequence[Labels]) -> None:
        self._label_texts = {task: [self._encode(model, phrasings(label)) for label in TASKS[task]] for task in TASKS}
        self.scenes = tuple(sorted({scene_of(row) for row in labels}))
        self._caption_texts = [
            self._encode(model, tuple(text for place in scene[2] for text in captions(scene[0], scene[1], place)))
            for scene in self.scenes
        ]

    @staticmethod
    @torch.inference_mode()
    def _encode(model: ClipModel, texts: Sequence[str]) -> Tensor:
        tower, rows = model.network.text, []
        for start in range(0, len(texts), _ENCODING_BATCH):
            encodings = model.tokenizer.encode_batch(list(texts[start : start + _ENCODING_BATCH]))
            ids = torch.tensor([encoding.ids for encoding in encodings])
            mask = torch.tensor([encoding.attention_mask for encoding in encodings])
            rows.append(tower.pooler(tower.transformer(input_ids=ids, attention_mask=mask), mask))
        return torch.cat(rows).clone()

    def targets(self, labels: Sequence[Labels], close: Sequence[bool]) -> Targets:
        """The targets of a batch."""
        pairs = list(zip(labels, close, strict=True))
        tasks = {task: torch.stack([target_row(row, task, near) for row, near in pairs]) for task in TASKS}
        scenes = [-1 if near else self.scenes.index(scene_of(row)) for row, near in pairs]
        return Targets(tasks, torch.tensor(scenes))

    def label_vectors(self, task: str, projection: nn.Module, rng: np.random.Generator) -> Tensor:
        """A unit vector for each label, (labels, d), from one to four of its phrasings picked at random."""
        picked = [
            rows[torch.from_numpy(rng.choice(len(rows), min(len(rows), int(rng.integers(1, 5))), replace=False))]
            for rows in self._label_texts[task]
        ]
        vectors = functional.normalize(projection(torch.cat(picked)), dim=1)
        means = [part.mean(dim=0) for part in torch.split(vectors, [len(rows) for rows in picked])]
        return functional.normalize(torch.stack(means), dim=1)

    def caption_vectors(self, scenes: Tensor, projection: nn.Module, rng: np.random.Generator) -> Tensor:
        """One random caption for each scene, unit vectors (n, d)."""
        rows = [self._caption_texts[scene] for scene in scenes.tolist()]
        picked = torch.stack([options[int(rng.integers(len(options)))] for options in rows])
        return functional.normalize(projection(picked), dim=1)


def scene_of(labels: Labels) -> tuple[int, int, tuple[int, ...]]:
    """Places of an image's modality, anatomy and findings."""
    return index_of(MODALITIES, labels.modality), index_of(ANATOMIES, labels.anatomy), found(labels)


def loss_of(
    images: Tensor, scale: Tensor, targets: Targets, texts: Texts, projection: nn.Module, rng: np.random.Generator
) -> Tensor:
    """Weighted sum of the cross-entropies of all tasks and of the captions.

    Args:
        images: unit vectors (n, d).
        scale: the factor on cosines.
        targets: what the images show.
        texts: the texts of the training.
        projection: from MiniLM's space to the common one.
        rng: picks phrasings and captions.
    """
    total = images.new_zeros(())
    for task, rows in targets.tasks.items():
        known = rows.sum(dim=1) > 0
        if bool(known.any()):
            logits = scale * images[known] @ texts.label_vectors(task, projection, rng).T
            total = total + _WEIGHTS[task] * functional.cross_entropy(logits, rows[known], label_smoothing=_SMOOTHING)
    known = targets.scenes >= 0
    if int(known.sum()) > 1:
        scenes = targets.scenes[known]
        logits = scale * images[known] @ texts.caption_vectors(scenes, projection, rng).T
        # Images of the same scene share their captions: each of them is right.
        same = (scenes[:, None] == scenes[None, :]).float()
        both = functional.cross_entropy(logits, same / same.sum(1, keepdim=True))
        both = both + functional.cross_entropy(logits.T, same / same.sum(1, keepdim=True))
        total = total + _CAPTION_WEIGHT * both / 2
    return total
