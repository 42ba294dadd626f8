"""Cases of one's own to train triage and attending physician on: a JSON line each, beside a folder of images.

    {"id": "1", "image": "ct/1.png", "question": "What is shown?", "options": ["cyst", "tumour"], "answer": "cyst",
     "specialty": "radiologist", "opinions": [{"specialist": "radiologist", "answer": "B", "confidence": "certain"}]}

`specialty` is what triage should choose, `opinions` what the attending physician reads; each trains one of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmedagent.protocol.consultation import LETTERS, SPECIALTIES, chosen_option, label
from mmedagent.protocol.errors import InvalidRequestError
from mmedagent.protocol.types import ShortText
from mmedagent.training.rl.curriculum import LEVELS, Level, level_of
from mmedagent.training.rl.grpo import Rollout
from mmedagent.training.rl.specialists import Opinion

MOST_OPTIONS, MOST_OPINIONS = 10, 16
FORM = "Think in <think></think>, then give only the {} in <answer></answer>."


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GivenOpinion(_Row):
    """What a specialist answered, by letter or text, and how certain it said it was."""

    specialist: ShortText
    answer: str = Field(max_length=2_000)
    confidence: ShortText = ""


class Case(_Row):
    """A question about an image with two to ten options, of which `answer` is the right one."""

    id: ShortText
    image: str = Field(min_length=1, max_length=500)
    question: str = Field(min_length=1, max_length=2_000)
    options: tuple[ShortText, ...] = Field(min_length=2, max_length=MOST_OPTIONS)
    answer: ShortText
    specialty: ShortText | None = None
    opinions: tuple[GivenOpinion, ...] = Field(default=(), max_length=MOST_OPINIONS)

    @model_validator(mode="after")
    def _agrees(self) -> Case:
        if len(set(self.options)) < len(self.options) or self.answer not in self.options:
            raise ValueError("the options differ from each other, and the answer is one of them")
        if self.specialty is not None and self.specialty not in SPECIALTIES:
            raise ValueError(f"the specialty is one of {', '.join(SPECIALTIES)}")
        return self

    @property
    def level(self) -> Level:
        """How hard the case is by its opinions; one that names no option is wrong. Raises `ValueError` without any."""
        choices = [chosen_option(one.answer, self.options) for one in self.opinions]
        read = [
            Opinion(one.specialist, -1 if choice is None else choice, one.confidence)
            for one, choice in zip(self.opinions, choices, strict=True)
        ]
        return level_of(read, self.options.index(self.answer))


def read_cases(file: Path) -> list[Case]:
    """Raises `InvalidRequestError` that names the line which is no case."""
    cases = []
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{file.name} cannot be read.") from error
    for number, line in enumerate(lines, 1):
        try:
            cases.append(Case.model_validate_json(line))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise InvalidRequestError(f"Line {number} of {file.name} is no case: {reason}.") from error
    return cases


def triage_rollouts(cases: Sequence[Case], images: Path) -> list[Rollout]:
    """Of the cases with a specialty."""
    named = ", ".join(SPECIALTIES)
    return [
        Rollout(
            f"{case.question}\nWhich of these specialists should see this: {named}?\n{FORM.format('specialist')}",
            _image(images, case), case.specialty,
        )
        for case in cases
        if case.specialty is not None
    ]  # fmt: skip


def attending_rollouts(cases: Sequence[Case], images: Path) -> dict[Level, list[Rollout]]:
    """Of the cases with opinions, by how hard they are."""
    found: dict[Level, list[Rollout]] = {level: [] for level in LEVELS}
    for case in cases:
        if case.opinions:
            found[case.level].append(Rollout(_attending_prompt(case), _image(images, case), case.answer, case.options))
    return found


def _attending_prompt(case: Case) -> str:
    options = [label(place, option) for place, option in enumerate(case.options)]
    said = [
        f"{one.specialist}: {one.answer}" + (f" ({one.confidence})" if one.confidence else "") for one in case.opinions
    ]
    form = FORM.format(f"letter from A to {LETTERS[len(options) - 1]}")
    return "\n".join([case.question, *options, "Opinions, any of which may be wrong:", *said, form])


def _image(folder: Path, case: Case) -> Image.Image:
    path = (folder / case.image).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InvalidRequestError(f"The image of case {case.id} is outside of the folder of images.")
    try:
        with Image.open(path) as file:
            return file.convert("RGB")
    except OSError as error:
        raise InvalidRequestError(f"The image of case {case.id} cannot be read.") from error
