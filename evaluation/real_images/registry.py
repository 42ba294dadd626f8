"""The rows of `images.toml`: which real images there are, what they show, and where they come from."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from mmedagent.protocol.types import Sha256, ShortText

Split = Literal["development", "final"]
OtherKind = Literal["photograph", "texture", "document", "drawing", "chart", "noise"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Row):
    """A file of an installed package and how it becomes a frame.

    Attributes:
        form: `dicom` and `raster` files are decoded as the server does it; `nifti` gives slice `index` along `axis` of
            the first volume, shown with anterior or superior at the top; `raw` is gzipped little-endian uint16 of
            `shape` (rows, columns).
        path: inside the folder of `package`.
        sha256: of the file, so that marks never meet another image.
    """

    form: Literal["dicom", "raster", "nifti", "raw"]
    package: ShortText
    path: ShortText
    sha256: Sha256
    index: int = Field(default=0, ge=0)
    axis: int = Field(default=2, ge=0, le=2)
    shape: tuple[int, int] | None = None


class MedicalImage(_Row):
    """A real medical image and what it shows."""

    name: ShortText
    split: Split
    modality: ShortText
    anatomy: ShortText
    note: ShortText
    licence: ShortText
    source: Source


class OtherImage(_Row):
    """A picture that is not medical: a classifier should abstain."""

    name: ShortText
    split: Split
    kind: OtherKind
    licence: ShortText
    source: Source


class Registry(_Row):
    """All rows, in the order of the file."""

    medical: Annotated[tuple[MedicalImage, ...], Field(min_length=1)]
    other: Annotated[tuple[OtherImage, ...], Field(min_length=1)]

    def medical_named(self, name: str) -> MedicalImage:
        """Raises `KeyError` for a name that is not in the registry."""
        for image in self.medical:
            if image.name == name:
                return image
        raise KeyError(name)


def load_registry() -> Registry:
    """The committed registry."""
    text = resources.files("mmedagent.evaluation.real_images").joinpath("images.toml").read_text("utf-8")
    return Registry.model_validate(tomllib.loads(text))
