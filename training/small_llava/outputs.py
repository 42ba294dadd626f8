"""Made-up tool output in the form of the tools' cards, and what is to be answered from it.

The numbers are random and describe no image: from these dialogues a planner learns to read output and to repeat it, not
medicine. An answer names each action by its number, as `[1]`, and has no number that is not in the output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from mmedagent.protocol.consultation import SPECIALTIES
from mmedagent.protocol.plan import Action
from mmedagent.protocol.types import JsonObject
from mmedagent.training.instructions.pseudo_words import pseudo_disease

NOTHING_SHARE, SPACING_SHARE, NOT_MEDICAL_SHARE = 0.25, 0.6, 0.12
_LABELS = {
    "modality": ("CT", "MRI", "X-ray", "ultrasound", "fundus photograph", "histology", "gross photograph"),
    "anatomy": ("abdomen", "brain", "chest", "eye", "pelvis", "hand", "knee", "neck"),
    "histology": ("H&E", "IHC", "adenocarcinoma", "normal colon", "squamous epithelium", "lymph node"),
    "finding": ("normal", "pleural effusion", "pneumothorax", "cardiomegaly", "nodule", "haemorrhage", "fracture"),
}
_SECTIONS = ("Overview", "Causes", "Symptoms", "Diagnosis", "Treatment", "When to seek care")
_FILLERS = (
    "It often begins slowly and without pain.", "Most people recover within some weeks.",
    "A physician confirms it with images.", "Rest and fluids are part of the care.", "The cause is not always known.",
    "Older people are affected more often.",
)  # fmt: skip
_OPINIONS = ("yes", "no", "benign", "malignant", "stage two", "follow-up in three months", "biopsy first")
_FINDINGS = ("effusion", "pneumothorax", "cardiomegaly", "nodule", "opacity", "infiltration")
_IMPRESSIONS = (
    "No acute finding.", "Probable {0} on the right.", "{0} is likely; {1} cannot be excluded.",
    "Small {0}, otherwise unremarkable.", "Findings are consistent with {0}.",
)  # fmt: skip


@dataclass(frozen=True)
class Output:
    """What a tool gave for an action, and the sentence that repeats it."""

    data: JsonObject
    said: str


def drawn_output(random: Random, action: Action) -> Output:
    """Output for an action of one of the seven tools. Raises `KeyError` for another tool."""
    return _DRAWN[action.API_name](random, action.API_params)


def _grounding(random: Random, parameters: JsonObject) -> Output:
    boxes, scores, phrases = _found(random, parameters)
    said = [_named_once(name, phrases, scores) for name in _names(parameters)]
    return Output({"boxes": boxes, "scores": scores, "phrases": phrases}, " ".join(said))


def _named_once(name: str, phrases: list[str], scores: list[float]) -> str:
    own = [score for phrase, score in zip(phrases, scores, strict=True) if phrase == name]
    if not own:
        return f"No {name} was found."
    return (
        f"{_capital(name)} was found with a score of {own[0]:.2f}."
        if len(own) == 1
        else f"{_capital(name)} was found in {len(own)} places."
    )


def _grounded_segmentation(random: Random, parameters: JsonObject) -> Output:
    boxes, scores, phrases = _found(random, parameters)
    masks, spacing = _masks(random, len(boxes))
    said = []
    for name in _names(parameters):
        own = [mask for phrase, mask in zip(phrases, masks, strict=True) if phrase == name]
        said += [f"No {name} was found." if not own else f"{_capital(name)} is outlined: {_areas(own)}."]
    return Output({"boxes": boxes, "scores": scores, "phrases": phrases, "masks": masks, **spacing}, " ".join(said))


def _segmentation(random: Random, parameters: JsonObject) -> Output:
    shapes = [value for key in ("boxes", "points") for value in _listed(parameters.get(key))]
    masks, spacing = _masks(random, max(1, len(shapes)))
    return Output({"masks": masks, **spacing}, f"The outline measures {_areas(masks)}.")


def _classification(random: Random, parameters: JsonObject) -> Output:
    task = parameters.get("task")
    if task is not None and random.random() < NOT_MEDICAL_SHARE:
        data: JsonObject = {
            "labels": [],
            "probabilities": [],
            "task": task,
            "medical_probability": round(random.uniform(0.01, 0.3), 4),
        }
        return Output(data, "This does not look like a medical image, so it is not classified.")
    labels = [str(one) for one in _listed(parameters.get("labels"))] or list(_LABELS[str(task)])
    random.shuffle(labels)
    weights = sorted((random.random() ** 4 + 0.001 for _ in labels), reverse=True)
    probabilities = [round(weight / sum(weights), 4) for weight in weights]
    data = {"labels": [*labels], "probabilities": [*probabilities], "task": task, "medical_probability": None}
    return Output(data, f"The most probable label is {labels[0]}, with a probability of {probabilities[0]:.2f}.")


def _report(random: Random, parameters: JsonObject) -> Output:
    if random.random() < NOT_MEDICAL_SHARE:
        note = "The image is no frontal chest X-ray."
        return Output(
            {"findings": "", "impression": note, "probabilities": {}, "sentences": [], "note": note},
            f"No report was written. {note}",
        )
    first, second = random.sample(_FINDINGS, 2)
    impression = random.choice(_IMPRESSIONS).format(_capital(first), second)
    findings = f"The heart is of normal size. {_capital(first)} is seen."
    probabilities: JsonObject = {name: round(random.random(), 4) for name in (first, second)}
    data: JsonObject = {"findings": findings, "impression": impression, "probabilities": probabilities, "sentences": []}
    return Output(data, f"A report was drafted. Impression: {impression}")


def _retrieval(random: Random, parameters: JsonObject) -> Output:
    if random.random() < NOTHING_SHARE / 2:
        return Output({"passages": []}, "The handbook has nothing about this.")
    condition = pseudo_disease(random) if random.random() < 0.6 else str(parameters["query"])[:40].strip()
    passages: list[Any] = [
        _passage(random, condition, section) for section in random.sample(_SECTIONS, random.randint(1, 3))
    ]
    sections = ", ".join(str(one["section"]) for one in passages)
    return Output(
        {"passages": passages},
        f"The handbook answers this under {condition}, {sections}; the passages are quoted with the result.",
    )


def _passage(random: Random, condition: str, section: str) -> JsonObject:
    return {
        "text": " ".join(random.sample(_FILLERS, random.randint(1, 3))),
        "highlight": [0, 20],
        "condition": condition,
        "section": section,
        "source": f"handbook, {condition}",
        "corpus": "handbook",
        "score": round(random.uniform(0.3, 0.9), 4),
    }


def _consultation(random: Random, parameters: JsonObject) -> Output:
    options = [str(one) for one in _listed(parameters.get("options"))] or list(_OPINIONS)
    panel = random.sample(SPECIALTIES, random.randint(1, 3))
    opinions: list[Any] = [{"specialist": one, "answer": random.choice(options)} for one in panel]
    answer = random.choice(options)
    data: JsonObject = {
        "specialty": panel[0],
        "opinions": opinions,
        "answer": answer,
        "rationale": "It weighs the opinions against the image.",
    }
    others = [one for one in opinions if one["answer"] != answer]
    dissent = f" The {others[0]['specialist']} answered {others[0]['answer']}." if others else ""
    return Output(data, f"The attending physician's answer is {answer}.{dissent}")


def _found(random: Random, parameters: JsonObject) -> tuple[list[Any], list[Any], list[Any]]:
    boxes: list[Any] = []
    scores: list[Any] = []
    phrases: list[Any] = []
    for name in _names(parameters):
        if random.random() < NOTHING_SHARE:
            continue
        for _ in range(random.choice((1, 1, 1, 2))):
            boxes.append(_box(random))
            scores.append(round(random.uniform(0.3, 0.97), 4))
            phrases.append(name)
    return boxes, scores, phrases


def _masks(random: Random, count: int) -> tuple[list[Any], JsonObject]:
    spacing = round(random.uniform(0.3, 1.2), 4) if random.random() < SPACING_SHARE else None
    masks: list[Any] = []
    for _ in range(count):
        pixels = int(10 ** random.uniform(2, 4.7))
        area = None if spacing is None else round(pixels * spacing**2, 1)
        masks.append(
            {
                "artifact": f"{random.getrandbits(256):064x}",
                "box": _box(random),
                "area_px": pixels,
                "area_mm2": area,
                "score": round(random.uniform(0.5, 0.98), 4),
            }
        )
    known = spacing is not None
    return masks, {
        "spacing_mm": [spacing, spacing] if known else None,
        "spacing_source": "PixelSpacing" if known else None,
    }


def _areas(masks: list[Any]) -> str:
    said = [
        f"{one['area_px']} px" if one["area_mm2"] is None else f"{one['area_mm2']} mm² ({one['area_px']} px)"
        for one in masks[:4]
    ]
    unknown = "" if masks[0]["area_mm2"] is not None else "; the pixel spacing is not known"
    return f"{' and '.join(said)}{unknown}"


def _box(random: Random) -> list[Any]:
    left, top = random.uniform(0, 0.7), random.uniform(0, 0.7)
    return [round(value, 4) for value in (left, top, left + random.uniform(0.05, 0.3), top + random.uniform(0.05, 0.3))]


def _names(parameters: JsonObject) -> list[str]:
    return [str(one) for one in _listed(parameters.get("prompts"))]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_DRAWN: dict[str, Callable[[Random, JsonObject], Output]] = {
    "grounding": _grounding,
    "grounded_segmentation": _grounded_segmentation,
    "segmentation": _segmentation,
    "classification": _classification,
    "report_generation": _report,
    "retrieval": _retrieval,
    "consultation": _consultation,
}
