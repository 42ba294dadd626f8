"""Documents as passages: whole sentences of one section, short enough to be quoted and embedded."""

import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_WORDS = 120
"""A longer section becomes several passages, each of whole sentences."""

MAX_SENTENCE = 800
"""Characters; what is longer is a table without punctuation or no language at all, and is cut between words."""

MAX_TITLE = 200
MAX_PLACE = 300

_SENTENCE_END = re.compile(r"\n|(?<=[.!?])[\"')\]”’]*\s+(?=[\"'(\[“‘]?[A-Z0-9])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|vs|cf|Dr|Prof|Mr|Mrs|Ms|St|Fig|Figs|No|al|approx|ca|[A-Z])\.$")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\ufeff\ud800-\udfff]")


@dataclass(frozen=True)
class Passage:
    """A section, or a part of a long one. `place` says where it stands in its corpus, `page` counts from 1."""

    section: str
    text: str
    place: str
    page: int | None = None


@dataclass(frozen=True)
class Document:
    """What a corpus knows about one subject; `names` begins with its title."""

    names: tuple[str, ...]
    passages: tuple[Passage, ...]

    @property
    def title(self) -> str:
        return self.names[0]


def clean(text: str) -> str:
    """The text on one line: runs of white space become one space, and characters that nobody can see go."""
    return " ".join(_CONTROL.sub(" ", text).split())


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a text stand: first character, and one past the last.

    >>> sentence_spans("It hurts. See e.g. Fig. 2.")
    [(0, 9), (10, 26)]
    """
    spans = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if end[0] == "\n" or not _ABBREVIATION.search(text[start : end.start()]):
            spans.append((start, end.start() + len(end[0].rstrip())))
            start = end.end()
    spans.append((start, len(text)))
    return [(first, last) for first, last in spans if first < last]


def chunks(blocks: Iterable[str]) -> Iterator[str]:
    """Texts of at most `MAX_WORDS` words, from paragraphs, list items and rows of tables, which keep a line each."""
    pieces: list[str] = []
    words = 0
    for block in blocks:
        separator = "\n"
        for sentence in _short_sentences(clean(block)):
            length = len(sentence.split())
            if pieces and words + length > MAX_WORDS:
                yield "".join(pieces[1:])
                pieces, words = [], 0
            pieces += [separator, sentence]
            words += length
            separator = " "
    if pieces:
        yield "".join(pieces[1:])


def _short_sentences(block: str) -> Iterator[str]:
    for start, end in sentence_spans(block):
        sentence = block[start:end]
        if len(sentence) <= MAX_SENTENCE and len(sentence.split()) <= MAX_WORDS:
            yield sentence
        else:
            yield from _cut(sentence)


def _cut(sentence: str) -> Iterator[str]:
    for line in textwrap.wrap(sentence, MAX_SENTENCE):
        words = line.split()
        for start in range(0, len(words), MAX_WORDS):
            yield " ".join(words[start : start + MAX_WORDS])
