"""Which structures an image cannot show, because it is of another kind and of another part of the body."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from mmedagent.networks.glance import Glance

UNLIKELY = 0.04
"""Up to this probability of every place where it can be, a structure is taken not to be in view."""


class Place(NamedTuple):
    """Modalities and anatomies of the image tower, in any of which a structure can be in view."""

    modality: tuple[str, ...]
    anatomy: tuple[str, ...]


def is_out_of_place(name: str, glance: Glance) -> bool:
    """Whether the image is surely of no modality and of no anatomy that shows what the tower calls `name`."""
    place = _places().get(name)
    if place is None:
        return False
    chances = (sum(glance.chances[head].get(one, 0.0) for one in getattr(place, head)) for head in Place._fields)
    return max(chances) <= UNLIKELY


@lru_cache(maxsize=1)
def _places() -> dict[str, Place]:
    groups = tomllib.loads(resources.files(__package__).joinpath("places.toml").read_text("utf-8"))
    return {
        name: Place(tuple(group["modality"]), tuple(group["anatomy"]))
        for group in groups.values()
        for name in group["names"]
    }
