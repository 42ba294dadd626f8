"""Generated dialogues whose answers are full of numbers: outlines with boxes and points, labels, reports, passages."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mmedagent.evaluation.tool_selection.asks import Dialogue, Expected

PHANTOMS = ("CT", "MR", "X-ray", "ultrasound", "fundus", "histology")
_CONDITIONS = (
    "pneumonia", "appendicitis", "fatty liver disease", "gallstones", "osteoarthritis", "glaucoma", "stroke",
    "hepatitis B", "pulmonary embolism", "kidney stones", "asthma", "diabetes", "heart failure", "melanoma",
    "sepsis", "tuberculosis",
)  # fmt: skip
_WHOLE = (
    "What modality is this?",
    "Which part of the body is shown?",
    "Which finding is the most probable?",
    "Is it a tumour, a cyst or a haemorrhage?",
    "Is this benign or malignant?",
    "What stain is this?",
)
_AFTER = ("How big was it again?", "Say that once more, please.", "What did the tools find so far?", "Thanks.")
_REPORTS = (
    "Write a report for this chest X-ray.",
    "Draft findings and impression please. 64 year old with cough for 3 weeks.",
)


def generated(random: Random, turns: int, files: Sequence[str]) -> list[Dialogue]:
    """Dialogues with so many turns in all. `files` are image files to use beside phantoms."""
    dialogues: list[Dialogue] = []
    left = turns
    while left > 0:
        number = len(dialogues) + 1
        image = random.choice((*files, *PHANTOMS))
        asks = [_ask(random, image) for _ in range(random.randint(1, 2))]
        asks += [random.choice(_AFTER)] if random.random() < 0.5 else []
        rows = tuple(Expected(text=ask, expect=((),)) for ask in asks[:left])
        dialogues.append(Dialogue(id=f"generated-{number:03}", image=image, turns=rows))
        left -= len(rows)
    return dialogues


def _ask(random: Random, image: str) -> str:
    kinds = ["outline", "outline", "whole", "condition", "both", *(["report"] * 2 if image == "X-ray" else [])]
    match random.choice(kinds):
        case "outline":
            return _outline(random)
        case "whole":
            return random.choice(_WHOLE)
        case "condition":
            return f"What is {random.choice(_CONDITIONS)} and how is it treated?"
        case "report":
            return random.choice(_REPORTS)
        case _:
            return f"{random.choice(_WHOLE)} And what is {random.choice(_CONDITIONS)}?"


def _outline(random: Random) -> str:
    if random.random() < 0.2:
        return f"Segment the structure at the point [{random.uniform(0.2, 0.8):.2f}, {random.uniform(0.2, 0.8):.2f}]."
    boxes = [_box(random) for _ in range(random.choice((1, 1, 2, 3)))]
    if len(boxes) == 1:
        return f"Segment the structure in the box {boxes[0]} and give me its area."
    return f"Segment what is in the boxes {' and '.join(boxes)} and give me the areas."


def _box(random: Random) -> str:
    left, top = random.uniform(0.05, 0.6), random.uniform(0.05, 0.6)
    corners = (left, top, left + random.uniform(0.1, 0.35), top + random.uniform(0.1, 0.35))
    return f"[{', '.join(f'{corner:.2f}' for corner in corners)}]"
