"""What the doctors are told, as messages for a chat model. The texts are in `prompts.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from string import Template

from mmedagent.protocol.consultation import SPECIALTIES, label
from mmedagent.protocol.errors import CheckpointError
from mmedagent.protocol.invocation import ImageRef
from mmedagent.protocol.plan import ChatMessage
from mmedagent.protocol.types import MAX_TEXT
from mmedagent.tool_workers.consultation.doctors import Case, Opinion, Task

_FILE = Path(__file__).with_name("prompts.toml")
MAX_RATIONALE = 800
"""Characters of one specialist's reasons that the attending reads."""


class Prompts:
    """The texts of the package with those of a panel.toml in their place."""

    def __init__(self, own: Mapping[str, str] | None = None) -> None:
        """Raises `CheckpointError` for a text that there is not, or one with a `$name` that it cannot have."""
        table = tomllib.loads(_FILE.read_text("utf-8"))
        self._expertise: dict[str, str] = table.pop("expertise")
        self._texts: dict[str, str] = table
        for name, text in (own or {}).items():
            if name not in self._texts:
                raise CheckpointError(f"There is no prompt {name}; there is: {', '.join(self._texts)}.")
            self._texts[name] = text
        for role in ("triage", "opinion", "attending"):
            self._tried(role)

    @property
    def identity(self) -> str:
        """All texts, which replies depend on."""
        return repr((self._texts, self._expertise))

    def messages(self, task: Task) -> tuple[ChatMessage, ...]:
        """What a chat model is sent for a task: a system and a user message."""
        words = self._words(task)
        system = Template(self._texts[f"{task.role}_system"]).substitute(words)
        user = Template(self._texts[task.role]).substitute(words)
        return (
            ChatMessage(role="system", text=_trimmed(system)),
            ChatMessage(role="user", text=_trimmed(user)),
        )

    def _words(self, task: Task) -> dict[str, str]:
        case = task.case
        return {
            "question": case.question,
            "options": _listed(case),
            "image": self._image(case.image),
            "specialties": ", ".join(SPECIALTIES),
            "specialty": task.specialty,
            "expertise": self._expertise.get(task.specialty, ""),
            "opinions": "\n".join(map(_told, task.opinions)) or self._texts["no_opinions"],
            "form": self._texts["choice_form" if case.options else "open_form"],
        }

    def _image(self, image: ImageRef | None) -> str:
        if image is None:
            return self._texts["without_image"]
        known = [part for part in (image.modality, image.body_part) if part]
        modality = f" Its header says: {', '.join(known)}." if known else ""
        return Template(self._texts["with_image"]).substitute(modality=modality)

    def _tried(self, role: str) -> None:
        image = ImageRef(sha256="0" * 64, source_sha256="0" * 64, width=1, height=1)
        try:
            for name in (role, f"{role}_system"):
                Template(self._texts[name]).substitute(self._words(Task("triage", Case("?", image=image))))
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"The prompt of the {role} has a $name that it cannot have: {error}.") from error


def _listed(case: Case) -> str:
    if not case.options:
        return ""
    return "\n".join(["Options:", *(label(index, option) for index, option in enumerate(case.options))])


def _told(opinion: Opinion) -> str:
    reasons = opinion.rationale[:MAX_RATIONALE]
    return f"- {opinion.specialist} answers: {opinion.answer}" + (f"\n  Reasons: {reasons}" if reasons else "")


def _trimmed(text: str) -> str:
    return "\n".join(line for line in text.strip().splitlines() if line.strip())[:MAX_TEXT]
