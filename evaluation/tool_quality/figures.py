"""A measured figure with its target, and the table of all of them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mmedagent.protocol.types import Seconds, Sha256, ShortText, ToolName

Unit = Literal["share", "Dice", "AP", "F1", "ms", "times", "count"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Target(_Row):
    """What a figure should reach; `at_least` when more is better."""

    bound: float
    at_least: bool = True

    def met_by(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


class Figure(_Row):
    """One measured number.

    Attributes:
        value: None when there was nothing to measure it on.
        count: how many images, objects or questions it is the mean of.
        part_of: the name of the figure that this one is a part of; empty for a figure of its own.
        ablations: the same figure with something taken away, such as the image, by what was taken away.
    """

    name: ShortText
    value: float | None
    unit: Unit = "share"
    count: int = Field(default=0, ge=0)
    target: Target | None = None
    part_of: ShortText = ""
    note: ShortText = ""
    ablations: dict[str, float] = {}

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without a target. A figure that could not be measured misses it."""
        if self.target is None:
            return None
        return self.value is not None and self.target.met_by(self.value)

    def with_ablation(self, name: str, others: list[Figure]) -> Figure:
        """This figure with the value that the figure of the same name has in `others`."""
        values = [one.value for one in others if (one.name, one.part_of) == (self.name, self.part_of)]
        if not values or values[0] is None:
            return self
        return self.model_copy(update={"ablations": {**self.ablations, name: values[0]}})


class ToolFigures(_Row):
    """What was measured of one tool; `missing` says why nothing was."""

    tool: ToolName
    version: ShortText = ""
    checkpoint_sha256: Sha256 | None = None
    seconds: Seconds = 0.0
    figures: tuple[Figure, ...] = ()
    missing: ShortText = ""


class QualityTable(_Row):
    """The whole evaluation, as it is written to JSON."""

    profile: ShortText
    quick: bool
    seconds: Seconds
    tools: tuple[ToolFigures, ...]


def mean(values: list[float]) -> float | None:
    """The mean, or None of nothing."""
    return sum(values) / len(values) if values else None


def share(hits: list[bool]) -> float | None:
    """The share of true values, or None of nothing."""
    return mean([float(hit) for hit in hits])
