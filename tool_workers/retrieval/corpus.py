"""The handbook as data: Markdown files read into passages that can be quoted word for word.

A file describes one condition. It starts with TOML front matter between `+++` lines (`title`, `synonyms`,
`body_system`, `notice`) and has the sections of `SECTIONS` in that order, each a paragraph with one sentence a line.
"""

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmedagent.protocol.errors import CheckpointError

HANDBOOK = Path(__file__).parent / "handbook"
SECTIONS = ("Overview", "Symptoms", "Imaging findings", "Diagnosis", "Treatment", "When it is urgent")
MAX_WORDS = 120
"""A longer section becomes several passages, each of whole sentences."""


@dataclass(frozen=True)
class Passage:
    """A section of a condition, or a part of a long one."""

    condition: str
    section: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        return " ".join(self.sentences)

    @property
    def source(self) -> str:
        return f"mmedagent handbook: {self.condition}, {self.section}"

    def span(self, sentence: int) -> tuple[int, int]:
        """Where a sentence stands in `text`: first character, and one past the last."""
        start = sum(len(earlier) + 1 for earlier in self.sentences[:sentence])
        return start, start + len(self.sentences[sentence])


@dataclass(frozen=True)
class Condition:
    """What the handbook knows about one condition; `names` begins with its title."""

    names: tuple[str, ...]
    body_system: str
    passages: tuple[Passage, ...]

    @property
    def title(self) -> str:
        return self.names[0]


@dataclass(frozen=True)
class Corpus:
    """All conditions in order of their file names, and the sha256 of everything that is indexed."""

    conditions: tuple[Condition, ...]
    sha256: str

    @property
    def passages(self) -> tuple[Passage, ...]:
        return tuple(passage for condition in self.conditions for passage in condition.passages)


def read_corpus(folder: Path = HANDBOOK) -> Corpus:
    """Reads every `.md` file of the folder. Raises `CheckpointError` naming the file and what is wrong with it."""
    digest = hashlib.sha256()
    conditions = []
    for path in sorted(folder.glob("*.md")):
        content = path.read_text(encoding="utf-8")
        digest.update(content.encode())
        conditions.append(_read_condition(path.name, content))
    if not conditions:
        raise CheckpointError("The handbook has no conditions.")
    return Corpus(tuple(conditions), digest.hexdigest())


def _read_condition(name: str, content: str) -> Condition:
    try:
        _, front_matter, body = content.split("+++\n", 2)
        fields = tomllib.loads(front_matter)
        title, synonyms, body_system = fields["title"], fields["synonyms"], fields["body_system"]
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"{name}: the front matter is incomplete: {error}.") from error
    sections = [_read_section(block) for block in body.split("\n## ")[1:]]
    if tuple(heading for heading, _ in sections) != SECTIONS:
        raise CheckpointError(f"{name}: expected the sections {', '.join(SECTIONS)}.")
    passages = tuple(Passage(title, heading, group) for heading, sentences in sections for group in _groups(sentences))
    return Condition((title, *synonyms), body_system, passages)


def _read_section(block: str) -> tuple[str, list[str]]:
    heading, *lines = block.splitlines()
    return heading.strip(), [line.strip() for line in lines if line.strip()]


def _groups(sentences: list[str]) -> Iterator[tuple[str, ...]]:
    group: list[str] = []
    words = 0
    for sentence in sentences:
        length = len(sentence.split())
        if group and words + length > MAX_WORDS:
            yield tuple(group)
            group, words = [], 0
        group.append(sentence)
        words += length
    if group:
        yield tuple(group)
