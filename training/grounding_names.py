"""The names in `grounding_names.toml`: what a structure is called in training, and what only evaluation calls it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from mmedagent.training.pool import Row

WORDINGS = ("{}", "{}", "{}", "the {}", "{} region", "area of {}", "{} on this image")
"""Ways to put a name into a prompt; the bare name counts three times."""


@dataclass(frozen=True)
class Structure:
    """One thing that can be found.

    Attributes:
        name: as tables give it.
        masks: names of masks that show it.
        seen, held_out: other ways to say it, in training and in evaluation alone.
        size: "organ", or "small" for small and crowded classes.
    """

    name: str
    masks: tuple[str, ...]
    seen: tuple[str, ...]
    held_out: tuple[str, ...]
    size: Literal["organ", "small"] = "organ"

    def places_in(self, row: Row) -> tuple[int, ...]:
        """Places of the structure's masks among the row's names."""
        return tuple(place for place, name in enumerate(row.names) if name in self.masks)


@dataclass(frozen=True)
class Names:
    """All structures, and the groups of them that may mean the same pixels."""

    structures: tuple[Structure, ...]
    alike: Mapping[str, frozenset[str]]

    def training_phrases(self) -> tuple[str, ...]:
        """Every phrase of the training, in all wordings."""
        texts = (text for one in self.structures for text in (one.name, *one.seen))
        return tuple(dict.fromkeys(wording.format(text) for text in texts for wording in WORDINGS))


def load_names() -> Names:
    document = tomllib.loads(resources.files("mmedagent.training").joinpath("grounding_names.toml").read_text("utf-8"))
    structures = tuple(
        Structure(
            name=entry["name"],
            masks=tuple(entry.get("masks", [entry["name"]])),
            seen=tuple(entry["seen"]),
            held_out=tuple(entry["held_out"]),
            size=entry.get("size", "organ"),
        )
        for entry in document["structure"]
    )
    known = {one.name for one in structures}
    alike: dict[str, set[str]] = {name: {name} for name in known}
    for group in document["alike"]:
        unknown = set(group) - known
        if unknown:
            raise ValueError(f"grounding_names.toml: no structure is called {', '.join(sorted(unknown))}")
        for name in group:
            alike[name] |= set(group)
    return Names(structures, {name: frozenset(group) for name, group in alike.items()})
