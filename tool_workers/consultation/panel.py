"""`panel.toml`: who sits on the panel, with which models, and how long each may take."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from mmedagent.protocol.completion import MAX_COMPLETION_TOKENS, Temperature
from mmedagent.protocol.consultation import SPECIALTIES, Specialty
from mmedagent.protocol.errors import CheckpointError
from mmedagent.serving.blobs import sha256_of
from mmedagent.tool_workers.consultation.doctors import Doctor, Manner
from mmedagent.tool_workers.consultation.language_models import completion_doctor, endpoint_doctor
from mmedagent.tool_workers.consultation.prompts import Prompts
from mmedagent.tool_workers.consultation.waiting import Threads

PANEL_FILE = "panel.toml"
MAX_PANEL_BYTES = 1 << 18
DEFAULT = "default"
ANOTHER = "another"
MakeDoctor = Callable[[dict[str, Any], Path, Prompts], Doctor]
"""Makes a doctor from a table of panel.toml without its `kind`, the folder of the file, and the prompts. Loads nothing.

Raises pydantic's `ValidationError` for a table that is not right.
"""


def _embedded(table: dict[str, Any], folder: Path, _: Prompts) -> Doctor:
    # Panels of language models need no torch.
    from mmedagent.tool_workers.consultation.embedded import embedded_doctor

    return embedded_doctor(table, folder)


KINDS: Mapping[str, MakeDoctor] = {
    "completion": completion_doctor,
    "embedded": _embedded,
    "endpoint": endpoint_doctor,
}
"""The kinds of doctors that a panel.toml can name."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\r\n]+$")]
PromptText = Annotated[str, StringConstraints(max_length=2_000)]
Deadline = Annotated[float, Field(gt=0, le=3_600, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Role(_Table):
    """Which backend takes a role, and how it writes. `temperature` is left out for the model's own."""

    backend: Name = DEFAULT
    max_tokens: Annotated[int, Field(ge=1, le=MAX_COMPLETION_TOKENS)] = 512
    temperature: Temperature | None = None

    def manner(self, seed: int) -> Manner:
        return Manner(self.max_tokens, self.temperature, seed if self.temperature is not None else None)


class Attending(Role):
    """`samples` replies are asked for at once, and the answer that most of them give is taken."""

    samples: Annotated[int, Field(ge=1, le=16)] = 1

    @model_validator(mode="after")
    def _samples_differ(self) -> Attending:
        if self.samples > 1 and not self.temperature:
            raise ValueError("several samples need a temperature above 0, without which they are all the same")
        return self


class Seat(Role):
    """A specialist. Without `specialty` it speaks for the one that triage chose, and as `another` for one that no other
    seat speaks for; without `name` that is its name."""

    name: Name | None = None
    specialty: Specialty | Literal["another"] | None = None


class Deadlines(_Table):
    """Seconds that a role may take at most; less when the call has less left."""

    triage_s: Deadline = 20.0
    opinion_s: Deadline = 60.0
    attending_s: Deadline = 60.0


class PanelSettings(_Table):
    """The whole file. Every table may be left out: then one backend, a planner's model, takes all roles."""

    backends: Annotated[dict[Name, dict[str, Any]], Field(min_length=1, max_length=16)] = Field(
        default_factory=lambda: {DEFAULT: {"kind": "completion"}}
    )
    triage: Role = Role()
    specialists: Annotated[tuple[Seat, ...], Field(min_length=1, max_length=9)] = (Seat(temperature=0.7),) * 3
    attending: Attending = Attending(max_tokens=1_024)
    deadlines: Deadlines = Deadlines()
    prompts: Annotated[dict[Name, PromptText], Field(max_length=32)] = Field(default_factory=dict)

    def specialties(self, chosen: str) -> list[str]:
        """What each seat speaks for when triage chose that: `another` is the next in the list that no seat has."""
        named = {seat.specialty or chosen for seat in self.specialists}
        start = SPECIALTIES.index(chosen)
        free = iter([one for one in (*SPECIALTIES[start:], *SPECIALTIES[:start]) if one not in named])
        return [
            next(free, chosen) if seat.specialty == ANOTHER else seat.specialty or chosen for seat in self.specialists
        ]

    @model_validator(mode="after")
    def _backends_are_there(self) -> PanelSettings:
        for role in (self.triage, *self.specialists, self.attending):
            if role.backend not in self.backends:
                raise ValueError(f"there is no backend {role.backend}; there is: {', '.join(self.backends)}")
        return self


@dataclass(frozen=True)
class Panel:
    """The settings with their doctors by backend, not loaded, and the threads in which they are asked."""

    settings: PanelSettings
    prompts: Prompts
    doctors: Mapping[str, Doctor]
    threads: Threads = field(default_factory=Threads)

    def load(self, device: str) -> None:
        """Raises `CheckpointError`."""
        for doctor in self.doctors.values():
            doctor.load(device)

    @property
    def sha256(self) -> str:
        """Of all that the panel's answers depend on, as far as it is known here; once loaded."""
        identities = {name: doctor.identity for name, doctor in sorted(self.doctors.items())}
        return sha256_of(repr((self.settings.model_dump_json(), self.prompts.identity, identities)).encode())


def read_panel(folder: Path | None, kinds: Mapping[str, MakeDoctor] = KINDS) -> Panel:
    """The panel of the `panel.toml` in a folder; without a folder, the one that all defaults make.

    Raises `CheckpointError` naming what is wrong.
    """
    try:
        settings = PanelSettings.model_validate(_table(folder))
        prompts = Prompts(settings.prompts)
        doctors = {name: _doctor(table, folder or Path(), prompts, kinds) for name, table in settings.backends.items()}
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(f"{PANEL_FILE} is not valid: {place}: {first['msg']}.") from error
    return Panel(settings, prompts, doctors)


def _table(folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {}
    path = folder / PANEL_FILE
    if not path.is_file() or path.stat().st_size > MAX_PANEL_BYTES:
        raise CheckpointError(f"The folder of the consultation tool has no {PANEL_FILE}, or one that is too long.")
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{PANEL_FILE} is not TOML: {error}.") from error


def _doctor(table: dict[str, Any], folder: Path, prompts: Prompts, kinds: Mapping[str, MakeDoctor]) -> Doctor:
    settings = dict(table)
    kind = settings.pop("kind", None)
    if kind not in kinds:
        raise CheckpointError(f"There is no kind of doctor {kind!r}; there is: {', '.join(sorted(kinds))}.")
    return kinds[kind](settings, folder, prompts)
