"""The report tool: a classifier's probabilities and a generator's draft, merged into findings and an impression.

The method is that of ChatCAD (Wang et al. 2023, arXiv 2302.07257), with a gate in front: an image that is no frontal
chest radiograph gets no report, and the result says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np

from mmedagent.networks.report_checkpoint import Reading, ReportNetworks, load_report_networks
from mmedagent.networks.report_generator import Draft
from mmedagent.networks.report_merge import Merger, RuleMerger, Sentence
from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.errors import CheckpointError, InvalidParametersError, MMedAgentError
from mmedagent.protocol.invocation import ImageRef, ToolCall
from mmedagent.protocol.types import JsonObject
from mmedagent.serving.tool import Batching, PixelArray, ToolContext, ToolOutput

LEAST_FRONTAL = 0.5
"""Probability of a frontal chest radiograph from which a report is written."""

OTHER_MODALITIES = frozenset(
    {"CT", "MR", "PT", "NM", "US", "IVUS", "OP", "OPT", "SM", "GM", "ES", "XC", "ECG", "MG", "PX", "IO"}
)
"""DICOM modality codes (PS3.3 section C.7.3.1.1.1) under which no chest radiograph is filed."""

_SELF_TEST_SIDE = 64


class ReportGenerationTool:
    """Drafts a report for a frontal chest radiograph."""

    batching = Batching(max_size=8, max_wait_s=0.01)

    def __init__(self, *, checkpoint: Path | None, merger: Merger | None = None) -> None:
        self._checkpoint = checkpoint
        self._merger = merger or RuleMerger()
        self._card = load_card("report_generation")
        self._networks: ReportNetworks | None = None

    @property
    def card(self) -> ToolCard:
        return self._card

    def load(self, device: str) -> None:
        if self._checkpoint is None:
            raise CheckpointError("Report generation needs a checkpoint folder.")
        networks = load_report_networks(self._checkpoint, device)
        blank = [np.zeros((_SELF_TEST_SIDE, _SELF_TEST_SIDE), np.uint8)]
        networks.write(blank)
        if not np.isfinite(list(networks.read(blank)[0].findings.values())).all():
            raise CheckpointError("The classifier of the report tool gives values that are not finite.")
        self._networks = networks
        self._card = self._card.model_copy(update={"checkpoint_sha256": networks.checkpoint_sha256})

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        networks = self._ready
        frames: dict[int, PixelArray] = {}
        outcomes: list[ToolOutput | MMedAgentError | None] = []
        for place, call in enumerate(calls):
            outcomes.append(_refused(call.image))
            if call.image is not None and outcomes[-1] is None:
                try:
                    frames[place] = context.frame(call.image)
                except MMedAgentError as error:
                    outcomes[-1] = error
        context.raise_if_cancelled()
        readings = dict(zip(frames, networks.read(list(frames.values())), strict=True))
        chests = [place for place, reading in readings.items() if _may_be_chest(reading)]
        context.raise_if_cancelled()
        drafts = dict(zip(chests, networks.write([frames[place] for place in chests]), strict=True))
        for place, reading in readings.items():
            outcomes[place] = ToolOutput(self._result(reading, drafts.get(place)), preprocessing=networks.preprocessing)
        return [outcome for outcome in outcomes if outcome is not None]

    @property
    def _ready(self) -> ReportNetworks:
        if self._networks is None:
            raise CheckpointError("The report networks are not loaded.")
        return self._networks

    def _result(self, reading: Reading, draft: Draft | None) -> JsonObject:
        if draft is None:
            return _no_report(
                "This is not a chest X-ray in frontal view, as far as the network can tell "
                f"(probability {reading.frontal or 0:.0%}), so no report is written."
            )
        sentences = self._merger.merge(draft, reading.findings)
        data: JsonObject = {
            "findings": _text(sentences, "findings"),
            "impression": _text(sentences, "impression"),
            "probabilities": cast("JsonObject", dict(reading.findings)),
            "sentences": [cast("JsonObject", asdict(sentence)) for sentence in sentences],
        }
        return data


def _refused(image: ImageRef | None) -> ToolOutput | MMedAgentError | None:
    """The outcome of a call whose image need not be looked at."""
    if image is None:
        return InvalidParametersError("Report generation needs an image.")
    if image.modality in OTHER_MODALITIES:
        header = f"The file's header states the modality {image.modality}"
        return ToolOutput(_no_report(f"{header}: this is not a chest X-ray, so no report is written."))
    return None


def _may_be_chest(reading: Reading) -> bool:
    """Whether a report is written; without a gate in the checkpoint, always."""
    return reading.frontal is None or reading.frontal >= LEAST_FRONTAL


def _no_report(note: str) -> JsonObject:
    """The result for an image that is no frontal chest radiograph: its impression says so, and so does `note`."""
    return {"findings": "", "impression": note, "probabilities": {}, "sentences": [], "note": note}


def _text(sentences: Sequence[Sentence], section: str) -> str:
    return " ".join(sentence.text for sentence in sentences if sentence.section == section)
