"""Sentences about masks, shared by the tools that make them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from mmedagent.model_worker.compact.compose import numbers

MAX_LISTED = 8


class Mask(BaseModel):
    """A mask as the tool cards describe it; the box is normalised, `score` the network's estimate of the overlap."""

    box: tuple[float, float, float, float] | None
    area_px: int
    area_mm2: float | None
    score: float


class Masks(BaseModel):
    masks: tuple[Mask, ...]
    spacing_mm: tuple[float, float] | None
    spacing_source: str | None


def mask_sentences(data: Masks, subjects: Sequence[str]) -> list[str]:
    """One sentence a mask, then the total, then where the unit comes from. `subjects` name the masks in order."""
    pairs = list(zip(subjects, data.masks, strict=True))
    sentences = [_one(subject, mask) for subject, mask in pairs[:MAX_LISTED]]
    found = [mask for mask in data.masks if mask.area_px > 0]
    if len(pairs) > MAX_LISTED:
        sentences.append(f"{numbers.counted(len(pairs) - MAX_LISTED, 'more mask')} can be seen in the overlay.")
    if len(found) > 1:
        known = [mask.area_mm2 for mask in found if mask.area_mm2 is not None]
        total = numbers.area(sum(mask.area_px for mask in found), sum(known) if len(known) == len(found) else None)
        sentences.append(f"The areas of the {len(found)} masks add up to {total}.")
    if found:
        sentences.append(_unit(data))
    return sentences


def _one(subject: str, mask: Mask) -> str:
    if mask.area_px == 0 or mask.box is None:
        return f"Nothing was outlined for {subject}: its mask is empty."
    return (
        f"{subject[0].upper()}{subject[1:]} has an area of {numbers.area(mask.area_px, mask.area_mm2)}, "
        f"within {numbers.box(mask.box)} (estimated overlap {mask.score:.2f})."
    )


def _unit(data: Masks) -> str:
    if data.spacing_mm is None:
        return "The pixel spacing of this image is unknown, so the area can only be given in pixels (px)."
    rows, columns = data.spacing_mm
    source = f" in the file's {data.spacing_source}" if data.spacing_source else ""
    return f"The area in mm² follows from the pixel spacing of {rows:.4g} x {columns:.4g} mm{source}."
