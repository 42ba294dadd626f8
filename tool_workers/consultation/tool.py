"""The consultation tool, after MMedAgent-RL (Xia et al., arXiv 2506.00555): a triage doctor chooses a specialty,
specialists give independent opinions, and an attending physician who sees them and the image decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmedagent.protocol.card import ToolCard
from mmedagent.protocol.cards import load_card
from mmedagent.protocol.consultation import without_labels
from mmedagent.protocol.errors import CheckpointError, MMedAgentError
from mmedagent.protocol.invocation import ToolCall
from mmedagent.serving.tool import ToolContext, ToolOutput
from mmedagent.tool_workers.consultation.consultation import Consultation
from mmedagent.tool_workers.consultation.doctors import Case
from mmedagent.tool_workers.consultation.panel import KINDS, MakeDoctor, Panel, read_panel
from mmedagent.tool_workers.consultation.result import result_data

PREPROCESSING = "none: the models take the display frame"


class ConsultationTool:
    """Asks the panel of a `panel.toml`, in the folder that the profile names, or one of all defaults.

    A panel whose attending physician fails still shows its opinions; one in which nobody answered has failed.
    """

    def __init__(self, *, checkpoint: Path | None, kinds: Mapping[str, MakeDoctor] = KINDS) -> None:
        self._folder = checkpoint
        self._kinds = kinds
        self._panel: Panel | None = None
        self._card = load_card("consultation")

    @property
    def card(self) -> ToolCard:
        """After `load` the checkpoint's sha256 is that of the panel: its settings, prompts and backends."""
        return self._card

    def load(self, device: str) -> None:
        panel = read_panel(self._folder, self._kinds)
        panel.load(device)
        self._panel = panel
        self._card = self._card.model_copy(update={"checkpoint_sha256": panel.sha256})

    def run(self, calls: Sequence[ToolCall], context: ToolContext) -> list[ToolOutput | MMedAgentError]:
        return [self._one(call, context) for call in calls]

    def _one(self, call: ToolCall, context: ToolContext) -> ToolOutput | MMedAgentError:
        if self._panel is None:
            return CheckpointError("The panel is not loaded.")
        parameters: Any = call.parameters
        case = Case(parameters["question"], without_labels(parameters.get("options", ())), call.image)
        try:
            course = Consultation(self._panel, case, context, context.of(call)).hold()
        except MMedAgentError as error:
            return error
        if isinstance(course.decision, MMedAgentError) and not course.opinions:
            return course.decision
        return ToolOutput(result_data(course), preprocessing=PREPROCESSING)
