"""Headings and blocks of a text in reading order, and the documents that they make."""

from dataclasses import dataclass, field

from mmedagent.protocol.errors import TooLargeError
from mmedagent.tool_workers.retrieval.passages import MAX_PLACE, MAX_TITLE, Document, Passage, chunks, clean

MAX_PASSAGES = 50_000
"""Of one file."""


@dataclass
class _Part:
    headings: tuple[str, ...]
    blocks: list[str] = field(default_factory=list)


class Outline:
    """Collects the text of a file. Headings have levels from 1; a text with several of level 1 is several documents."""

    def __init__(self) -> None:
        self._levels: list[tuple[int, str]] = []
        self._parts = [_Part(())]

    def heading(self, level: int, text: str) -> None:
        """A section begins, inside the last one of a smaller level."""
        title = clean(text)[:MAX_TITLE]
        if title:
            self._levels = [(depth, name) for depth, name in self._levels if depth < level] + [(level, title)]
            self._parts.append(_Part(tuple(name for _, name in self._levels)))

    def block(self, text: str) -> None:
        """A paragraph, list item or row of a table."""
        if text.strip():
            self._parts[-1].blocks.append(text)

    def documents(self, place: str, fallback: str, names: tuple[str, ...] = ()) -> list[Document]:
        """The documents, none of them empty. Raises `TooLargeError`.

        Args:
            place: the file, as it is shown to people.
            fallback: the title of a text that has neither names nor a heading.
            names: title and synonyms where they are known.
        """
        tops = [part.headings[0] for part in self._parts if len(part.headings) == 1]
        if names or len(tops) < 2:
            title = names or (tops[0] if tops else clean(fallback)[:MAX_TITLE],)
            return _not_empty([_document(title, self._parts, place)])
        first = next(index for index, part in enumerate(self._parts) if part.headings)
        made = [_document((clean(fallback)[:MAX_TITLE],), self._parts[:first], place)]
        group: list[_Part] = []
        for part in self._parts[first:]:
            if len(part.headings) == 1 and group:
                made.append(_document(group[0].headings[:1], group, place))
                group = []
            group.append(part)
        return _not_empty([*made, _document(group[0].headings[:1], group, place)])


def _document(names: tuple[str, ...], parts: list[_Part], place: str) -> Document:
    return Document(
        names, tuple(_passage(names[0], part, text, place) for part in parts for text in chunks(part.blocks))
    )


def _passage(title: str, part: _Part, text: str, place: str) -> Passage:
    below = part.headings[1:] if part.headings[:1] == (title,) else part.headings
    return Passage(" > ".join(below)[:MAX_PLACE], text, place)


def _not_empty(documents: list[Document]) -> list[Document]:
    if sum(len(document.passages) for document in documents) > MAX_PASSAGES:
        raise TooLargeError(f"It has more than {MAX_PASSAGES:,} passages.")
    return [document for document in documents if document.passages]
