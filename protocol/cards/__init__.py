"""The seven built-in tool cards, one JSON file each, whether or not their worker is running."""

from __future__ import annotations

from importlib import resources

from mmedagent.protocol.card import ToolCard

BUILT_IN = (
    "grounding",
    "segmentation",
    "grounded_segmentation",
    "classification",
    "report_generation",
    "retrieval",
    "consultation",
)


def load_card(name: str) -> ToolCard:
    """The card of one built-in tool. Raises `KeyError` for any other name."""
    if name not in BUILT_IN:
        raise KeyError(name)
    text = resources.files(__name__).joinpath(f"{name}.json").read_text("utf-8")
    return ToolCard.model_validate_json(text)


def built_in_cards() -> tuple[ToolCard, ...]:
    return tuple(load_card(name) for name in BUILT_IN)
