"""The contrastive objective: every image against the phrasings of every label, and against captions of whole images.

MiniLM stays as it is, so each text is encoded by it once (`training.text_bank`); only the projection into the common
space is learnt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mmedagent.training.classification_captions import (
    ANATOMIES,
    FINDINGS,
    MEDICAL,
    MODALITIES,
    STAINS,
    Label,
    captions,
    found,
    index_of,
    phrasings,
    scenes_of,
)
from mmedagent.training.pool import Row

GATE = "medical"
TASKS: dict[str, tuple[Label, ...]] = {
    "modality": MODALITIES,
    "anatomy": ANATOMIES,
    "histology": STAINS,
    "finding": FINDINGS,
    GATE: MEDICAL,
}
_WEIGHTS = {"modality": 1.0, "anatomy": 0.5, "histology": 0.3, "finding": 1.0, GATE: 1.0}
_CAPTION_WEIGHT = 0.4
_SMOOTHING = 0.02

Scene = tuple[int, int, int]


@dataclass(frozen=True)
class Targets:
    """What a batch of n images shows.

    Attributes:
        tasks: for each task a distribution over its labels, (n, labels); rows of zeros where the task does not apply.
        scenes: one scene of each image; None where only the modality is sure.
    """

    tasks: dict[str, Tensor]
    scenes: tuple[Scene | None, ...]


def target_row(row: Row, task: str, close: bool) -> Tensor:
    """The distribution over a task's labels for one image; zeros when the view is too close to tell."""
    target = torch.zeros(len(TASKS[task]))
    if task == GATE:
        target[0 if row.modality else 1] = 1
    elif not row.modality:
        return target
    elif task == "modality":
        target[index_of(MODALITIES, row.modality)] = 1
    elif task == "histology" and row.modality == "histology" and row.technique:
        target[index_of(STAINS, row.technique)] = 1
    elif task == "anatomy" and not close:
        target[index_of(ANATOMIES, row.anatomy)] = 1
    elif task == "finding" and not close:
        places = found(row)
        target[list(places)] = 1 / len(places)
    return target


def targets_of(rows: Sequence[Row], close: Sequence[bool], rng: np.random.Generator) -> Targets:
    """The targets of a batch, with a random one of the scenes that an image shows."""
    pairs = list(zip(rows, close, strict=True))
    tasks = {task: torch.stack([target_row(row, task, near) for row, near in pairs]) for task in TASKS}
    scenes: list[Scene | None] = []
    for row, near in pairs:
        options = scenes_of(row) if row.modality and not near else ()
        scenes.append(options[int(rng.integers(len(options)))] if options else None)
    return Targets(tasks, tuple(scenes))


class Texts:
    """MiniLM's vectors of all texts of the training, on its device."""

    def __init__(self, sentences: Mapping[str, Tensor], device: torch.device) -> None:
        self._sentences = {text: vector.to(device) for text, vector in sentences.items()}
        self._labels = {
            task: [torch.stack([self._sentences[text] for text in phrasings(label)]) for label in labels]
            for task, labels in TASKS.items()
        }

    def label_vectors(self, task: str, projection: nn.Module, rng: np.random.Generator) -> Tensor:
        """A unit vector for each label, (labels, d), from one to four of its phrasings picked at random."""
        picked = [
            rows[rng.choice(len(rows), min(len(rows), int(rng.integers(1, 5))), replace=False).tolist()]
            for rows in self._labels[task]
        ]
        vectors = functional.normalize(projection(torch.cat(picked)), dim=1)
        means = [part.mean(dim=0) for part in torch.split(vectors, [len(rows) for rows in picked])]
        return functional.normalize(torch.stack(means), dim=1)

    def prompt_vectors(self, task: str, projection: nn.Module, prompts: int) -> Tensor:
        """A unit vector for each label, (labels, d), from the first `prompts` phrasings, as the tool makes them."""
        means = [functional.normalize(projection(rows[:prompts]), dim=1).mean(dim=0) for rows in self._labels[task]]
        return functional.normalize(torch.stack(means), dim=1)

    def knows(self, scene: Scene | None) -> bool:
        """Whether the text bank was made with images that show this."""
        return scene is not None and all(text in self._sentences for text in captions(*scene))

    def caption_vectors(self, scenes: Sequence[Scene], projection: nn.Module, rng: np.random.Generator) -> Tensor:
        """One random caption for each scene, unit vectors (n, d)."""
        options = [captions(*scene) for scene in scenes]
        texts = [one[int(rng.integers(len(one)))] for one in options]
        return functional.normalize(projection(torch.stack([self._sentences[text] for text in texts])), dim=1)


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
        known = (rows.sum(dim=1) > 0).nonzero()[:, 0]
        if len(known):
            logits = scale * images[known.to(images.device)] @ texts.label_vectors(task, projection, rng).T
            wanted = rows[known].to(images.device)
            total = total + _WEIGHTS[task] * functional.cross_entropy(logits, wanted, label_smoothing=_SMOOTHING)
    shown = [place for place, scene in enumerate(targets.scenes) if texts.knows(scene)]
    if len(shown) > 1:
        scenes = [scene for scene in targets.scenes if scene is not None and texts.knows(scene)]
        logits = scale * images[shown] @ texts.caption_vectors(scenes, projection, rng).T
        # Images of the same scene share their captions: each of them is right.
        same = torch.tensor([[one == other for other in scenes] for one in scenes], device=images.device).float()
        both = functional.cross_entropy(logits, same / same.sum(1, keepdim=True))
        both = both + functional.cross_entropy(logits.T, same / same.sum(1, keepdim=True))
        total = total + _CAPTION_WEIGHT * both / 2
    return total
