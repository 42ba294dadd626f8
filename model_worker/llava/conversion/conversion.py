"""A whole conversion: what is read from where is settled and checked first, and only then is anything written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors import SafetensorError
from transformers import CLIPVisionConfig

from mmedagent.model_worker.llava.architecture import describe_llava
from mmedagent.model_worker.llava.checkpoint import MANIFEST, PlannerManifest
from mmedagent.model_worker.llava.conversion.base import BaseModel
from mmedagent.model_worker.llava.conversion.lora import LoraFolder
from mmedagent.model_worker.llava.conversion.names import TOWER
from mmedagent.model_worker.llava.conversion.processor import make_processor
from mmedagent.model_worker.llava.conversion.settings import (
    CONFIG,
    OriginalConfig,
    llava_config,
    read_original_config,
    read_tower_config,
)
from mmedagent.model_worker.llava.conversion.sources import (
    Sources,
    added_to_base,
    read_model,
    read_non_lora,
    require_whole,
    tower_inside,
    with_trained,
)
from mmedagent.model_worker.llava.conversion.tokenizer import MODEL, read_tokenizer
from mmedagent.networks.checkpoints import sha256_file
from mmedagent.protocol.errors import CheckpointError

BASE, ADAPTER = "base", "adapter"
VERSION = "1.0.0"
MAX_NEW_TOKENS = 512


@dataclass(frozen=True)
class Originals:
    """The folders that a conversion reads.

    Attributes:
        model: `config.json`, weights and tokenizer of LLaVA or LLaVA-Med.
        lora: the LoRA that was trained on it, as MMedAgent's training writes it.
        base: the LLaMA that the model's weights are the differences to.
        vision_tower: a CLIP, in place of one among the model's weights.
    """

    model: Path
    lora: Path | None = None
    base: Path | None = None
    vision_tower: Path | None = None


class Conversion:
    """A conversion that is ready to be written.

    Attributes:
        size: bytes of the base model, each of which is written and then hashed.
        notes: sentences about what the planner will do otherwise than the original.

    Raises `CheckpointError` when a folder is not what it should be, with what to do about it. Nothing is written then.
    """

    def __init__(self, originals: Originals) -> None:
        self._originals = originals
        trained = originals.lora
        sources = _sources(originals)
        original, settings = read_original_config(_with_config(trained) or originals.model)
        tower, sources = _with_tower(originals, original, sources)
        self._llava = llava_config(original, settings, tower)
        self._tokenizer = read_tokenizer(originals.model, self._llava.text_config.max_position_embeddings)
        self._model = BaseModel(sources, self._llava, original.mm_projector_type, self._tokenizer)
        self._lora = LoraFolder(trained, self._model.layout) if trained is not None else None
        self.size = 2 * self._model.size
        self.notes = _notes(original)

    def write(self, target: Path, name: str, advance: Callable[[int], None]) -> int:
        """Write a checkpoint folder of a planner with this name, and check that its loader would take it.

        `advance` is told of bytes as they are written and hashed. The folder is there when all of it is there.

        Returns:
            the number of tensors.

        Raises:
            CheckpointError: the folder exists and is not empty, cannot be written, or a tensor cannot be read.
        """
        require_empty(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
                folder = Path(scratch) / target.name
                self._write(folder, name, advance)
                tensors = describe_llava(folder).fit()
                folder.replace(target)
        except (OSError, SafetensorError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise CheckpointError(
                f"{target.name} could not be written: {reason}. Make room for it, in a folder of yours, and try again."
            ) from error
        return tensors

    def _write(self, folder: Path, name: str, advance: Callable[[int], None]) -> None:
        base = folder / BASE
        base.mkdir(parents=True)
        weights = self._model.write(base, advance)
        towers = (self._originals.vision_tower, self._originals.model)
        processor = make_processor(self._tokenizer, self._llava, *(path for path in towers if path is not None))
        processor.save_pretrained(base)
        shutil.copyfile(self._originals.model / MODEL, base / MODEL)
        if self._lora is not None:
            weights.append(self._lora.write(folder / ADAPTER))
        manifest = PlannerManifest(
            name=name,
            version=VERSION,
            base=BASE,
            adapter=ADAPTER if self._lora is not None else None,
            max_new_tokens=MAX_NEW_TOKENS,
            sha256={path.relative_to(folder).as_posix(): sha256_file(path, advance) for path in weights},
        )
        (folder / MANIFEST).write_text(f"{manifest.model_dump_json(indent=2)}\n")


def require_empty(target: Path) -> None:
    """Raises `CheckpointError` when there is something that a conversion would overwrite."""
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists():
        raise CheckpointError(
            f"{target.name} exists and is not an empty folder. Give a new folder, or delete this one."
        )


def _with_config(folder: Path | None) -> Path | None:
    return folder if folder is not None and (folder / CONFIG).is_file() else None


def _sources(originals: Originals) -> Sources:
    sources = read_model(originals.model)
    if originals.base is not None:
        sources = added_to_base(sources, originals.base)
    else:
        require_whole(sources, originals.model)
    return with_trained(sources, read_non_lora(originals.lora)) if originals.lora is not None else sources


def _with_tower(originals: Originals, original: OriginalConfig, sources: Sources) -> tuple[CLIPVisionConfig, Sources]:
    """The settings of the CLIP, and all tensors with those of the CLIP."""
    name = original.mm_vision_tower
    if originals.vision_tower is not None:
        kept = {name: source for name, source in sources.items() if not name.startswith(TOWER)}
        tower, sources = read_tower_config(originals.vision_tower), kept | read_model(originals.vision_tower)
    elif (inside := tower_inside(sources)) is not None and "laion" not in name.lower():
        tower = inside
    else:
        raise CheckpointError(
            f"The weights do not say all about their vision tower. Give the folder of {name} as --vision-tower."
        )
    if original.image_side not in (None, tower.image_size):
        raise CheckpointError(
            f"The model was trained on images of {original.image_side} pixels, and the CLIP takes {tower.image_size}. "
            f"Give the folder of {name} as --vision-tower."
        )
    return tower, sources


def _notes(original: OriginalConfig) -> tuple[str, ...]:
    notes = []
    if original.image_aspect_ratio != "pad":
        notes.append(
            "The model was trained on images cut to a square; the planner pads them, so that no border is lost."
        )
    if original.mm_use_im_start_end:
        notes.append(
            "The model was trained with <im_start> and <im_end> around the image, which the planner's prompt does not "
            "have; use it under a LoRA that was trained without them."
        )
    return tuple(notes)
