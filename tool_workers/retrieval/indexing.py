"""Files of the user into a corpus: what is new or changed is read again, and nothing else is touched."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmedagent.protocol.errors import InvalidRequestError, NotFoundError, RequestError, TooLargeError
from mmedagent.tool_workers.retrieval.collection import Collection
from mmedagent.tool_workers.retrieval.readers import SUFFIXES
from mmedagent.tool_workers.retrieval.readers.process import ReaderProcess

MAX_FILE_BYTES = 64 * 2**20
MAX_FILES = 50_000
MAX_CORPUS_PASSAGES = 200_000


@dataclass
class Report:
    """What `add_files` did: numbers of files, and a line for each that was left out, or of which a part was."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_files(target: Path) -> list[Path]:
    """The files of a folder and all below it that can be read, by name; or the one file that is given.

    Hidden files and folders are left out, and links that lead out of the folder. Raises `NotFoundError` where there is
    nothing, `InvalidRequestError` for a file of another kind, `TooLargeError` for too many files.
    """
    target = target.resolve()
    if target.is_file():
        if target.suffix.lower() not in SUFFIXES:
            raise InvalidRequestError(f"{target.name} is none of {', '.join(sorted(SUFFIXES))}.")
        return [target]
    if not target.is_dir():
        raise NotFoundError(f"There is no file or folder {target}.")
    found = sorted(path for path in _walk(target) if path.resolve().is_relative_to(target))
    if not found:
        raise NotFoundError(f"There is nothing to read in {target}: no {', '.join(sorted(SUFFIXES))}.")
    if len(found) > MAX_FILES:
        raise TooLargeError(f"There are {len(found):,} files; a corpus takes at most {MAX_FILES:,}.")
    return found


def add_files(
    collection: Collection,
    target: Path,
    files: list[Path],
    *,
    prune: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Report:
    """Bring a corpus up to date with files that `find_files` has found under a target. Searchable at once, by words.

    A file that cannot be read is reported, and what the corpus held of it before stays. With `prune`, what has been
    deleted under the target is deleted from the corpus.
    """
    report = Report()
    target = target.resolve()
    root = target if target.is_dir() else target.parent
    known = collection.files()
    passages = collection.counts().passages
    with ReaderProcess() as reader:
        for path in files:
            shown = path.relative_to(root).as_posix()
            try:
                passages += _add_file(collection, reader, path, shown, known.get(str(path)), passages, report)
            except RequestError as error:
                report.skipped[shown] = error.detail
            except OSError as error:
                report.skipped[shown] = f"It cannot be opened: {error.strerror}."
            advance()
    if prune:
        gone = [name for name in known if Path(name).is_relative_to(target) and not Path(name).exists()]
        collection.remove_files(gone)
        report.removed = len(gone)
    return report


def _add_file(
    collection: Collection,
    reader: ReaderProcess,
    path: Path,
    shown: str,
    known: str | None,
    passages: int,
    report: Report,
) -> int:
    """Read one file unless its content is known, and give the number of its passages."""
    content = _content(path)
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 == known:
        report.unchanged += 1
        return 0
    reading = reader.read(content, path.suffix.lower(), shown, path.stem)
    found = sum(len(document.passages) for document in reading.documents)
    if not found:
        raise InvalidRequestError("There is no text in it.")
    if passages + found > MAX_CORPUS_PASSAGES:
        raise TooLargeError(f"The corpus is full: it takes at most {MAX_CORPUS_PASSAGES:,} passages.")
    collection.replace_file(str(path), shown, sha256, reading.documents)
    report.notes += (f"{shown}: {note}" for note in reading.notes)
    if known is None:
        report.added += 1
    else:
        report.changed += 1
    return found


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise TooLargeError(f"It is larger than {MAX_FILE_BYTES // 2**20} MiB.")
    return content


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place) / name
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_file():
                yield path
