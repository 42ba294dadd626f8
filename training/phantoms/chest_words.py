"""Report text of a chest phantom, in several wordings, from the notes of what was drawn."""

import numpy as np

from mmedagent.training.phantoms.base import Report
from mmedagent.training.phantoms.chest_findings import Note
from mmedagent.training.phantoms.finish import chance

_EXTENT = {"small": ("small", "minor"), "moderate": ("moderate", "moderate-sized"), "large": ("large", "sizeable")}
_STATED = {
    "cardiomegaly": (
        "The heart is enlarged.",
        "The cardiac silhouette is enlarged.",
        "There is cardiomegaly.",
        "The cardiothoracic ratio is increased.",
    ),
    "pleural effusion": (
        "There is a {extent} {side} pleural effusion.",
        "{Extent} {side} pleural effusion is present.",
        "A {extent} {side} pleural effusion is seen.",
    ),
    "pneumothorax": (
        "There is a {extent} {side} pneumothorax.",
        "{Extent} {side} pneumothorax is present.",
        "A {extent} {side} pneumothorax is seen.",
    ),
    "consolidation": (
        "There is consolidation in {part}.",
        "Consolidation is present in {region}.",
        "There is an airspace opacity in {region}.",
    ),
    "lung nodule": (
        "There is a nodule in {region}.",
        "A nodule is present in {part}.",
        "A round nodule projects over {region}.",
    ),
    "lung nodules": (
        "There are several nodules in {lung}.",
        "Multiple nodules are present in {lung}.",
    ),
    "infiltration": (
        "There is fine infiltration in {where}.",
        "A fine reticular pattern is seen in {where}.",
        "Diffuse fine opacities suggest infiltration in {where}.",
    ),
}  # fmt: skip
_BOTH_EFFUSION = (
    "There are {extent} bilateral pleural effusions.",
    "{Extent} bilateral pleural effusions are present.",
)
_DENIED: dict[str, tuple[str, ...]] = {
    "cardiomegaly": ("The heart size is normal.", "The heart is not enlarged.", "Normal cardiac silhouette."),
    "pleural effusion": ("No pleural effusion.", "There is no pleural effusion.", "The costophrenic angles are clear."),
    "pneumothorax": ("No pneumothorax.", "There is no pneumothorax.", "No pneumothorax is seen."),
    "consolidation": ("No consolidation.", "There is no focal consolidation.", "No airspace opacity."),
    "lung nodule": ("No nodule.", "There is no lung nodule.", "No nodule is seen."),
    "infiltration": ("No infiltration.", "There is no infiltration.", "No diffuse infiltration is seen."),
}  # fmt: skip
_CLEAR = (
    "The lungs are clear.",
    "Both lungs are clear.",
    "The lungs are clear of consolidation, nodule and infiltration.",
)
_PLEURA = ("There is no pleural effusion or pneumothorax.", "No pleural effusion or pneumothorax is seen.")
_NORMAL = (
    "No acute abnormality.",
    "Normal chest radiograph.",
    "No abnormality is seen.",
)
_SUMMED = {
    "cardiomegaly": "Cardiomegaly.",
    "pleural effusion": "{Extent} {side} pleural effusion.",
    "pneumothorax": "{Extent} {side} pneumothorax.",
    "consolidation": "{Side} {zone} zone consolidation.",
    "lung nodule": "{Side} {zone} zone nodule.",
    "lung nodules": "Several lung nodules.",
    "infiltration": "Infiltration in {where}.",
}  # fmt: skip
_LUNG = frozenset({"consolidation", "infiltration", "lung nodule"})
_PLEURAL = frozenset({"pleural effusion", "pneumothorax"})
ORDER = ("cardiomegaly", "consolidation", "infiltration", "lung nodule", "pleural effusion", "pneumothorax")


def write_report(rng: np.random.Generator, notes: list[Note]) -> Report:
    """Findings state every note and deny every other finding; the impression names the notes again."""
    stated = {note.finding: note for note in notes}
    denials = {name: forms for name, forms in _DENIED.items() if name not in stated}
    for first, group, forms in (("consolidation", _LUNG, _CLEAR), ("pleural effusion", _PLEURAL, _PLEURA)):
        if group <= denials.keys() and chance(rng, 0.7):
            denials = {name: own for name, own in denials.items() if name not in group} | {first: forms}
    body = [
        _filled(rng, _forms(stated[name]), stated[name]) if name in stated else _pick(rng, denials[name])
        for name in ORDER
        if name in stated or name in denials
    ]
    summary = [_filled(rng, (_SUMMED[_kind(stated[name])],), stated[name]) for name in ORDER if name in stated]
    return Report(" ".join(body), " ".join(summary) if summary else _pick(rng, _NORMAL))


def _kind(note: Note) -> str:
    return "lung nodules" if note.many else note.finding


def _forms(note: Note) -> tuple[str, ...]:
    both = note.finding == "pleural effusion" and note.side == "both"
    return _BOTH_EFFUSION if both else _STATED[_kind(note)]


def _filled(rng: np.random.Generator, forms: tuple[str, ...], note: Note) -> str:
    both = note.side == "both"
    side = "bilateral" if both else note.side
    lung = "both lungs" if both else f"the {note.side} lung"
    region = f"both {note.zone} zones" if both else f"the {note.side} {note.zone} zone"
    extent = _pick(rng, _EXTENT[note.extent]) if note.extent else ""
    return _pick(rng, forms).format(
        side=side, Side=side.capitalize(), extent=extent, Extent=extent.capitalize(), zone=note.zone, lung=lung,
        region=region, part=f"the {note.zone} zone{'s' if both else ''} of {lung}", where=region if note.zone else lung,
    )  # fmt: skip


def _pick(rng: np.random.Generator, forms: tuple[str, ...]) -> str:
    return forms[int(rng.integers(len(forms)))]
