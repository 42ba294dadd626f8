"""A question about an image with its true answer, and what every reader of a benchmark shares."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mmedagent.protocol.errors import InvalidRequestError, NotFoundError

Row = Mapping[str, Any]
YES_OR_NO = ("yes", "no")
LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class VqaCase:
    """One question. `options` is empty for an open one; `answer` is then a word or a phrase, else one of the options.

    `group` is what a table is split by: the kind of question, the modality or the subject. `images` reads the encoded
    pictures (PNG or JPEG), in their order.
    """

    id: str
    question: str
    options: tuple[str, ...]
    answer: str
    group: str
    images: Callable[[], tuple[bytes, ...]]

    def __post_init__(self) -> None:
        if self.options and self.answer not in self.options:
            raise InvalidRequestError(f"Question {self.id}: the answer is none of its options.")


class Benchmark(Protocol):
    """A published benchmark. Raises `NotFoundError` for a missing file, `InvalidRequestError` for a wrong one."""

    name: str
    source: str

    def cases(self, folder: Path, split: str) -> Iterator[VqaCase]:
        """The questions of a split, in the order of the files."""


def picture(path: Path) -> Callable[[], tuple[bytes, ...]]:
    """Reads one picture when it is asked for. Raises `NotFoundError`."""

    def read() -> tuple[bytes, ...]:
        if not path.is_file():
            raise NotFoundError(f"There is no image {path.name}; unpack the benchmark's images beside its questions.")
        return (path.read_bytes(),)

    return read


def inside(folder: Path, name: str) -> Path:
    """A path that a benchmark file names, which must lie in the benchmark's folder. Raises `InvalidRequestError`."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InvalidRequestError(f"The benchmark names a file outside of its folder: {name}.")
    return path


def options_of(answer: str) -> tuple[str, ...]:
    """A question that is answered by yes or no has two options; any other without options is an open one."""
    return YES_OR_NO if answer in YES_OR_NO else ()


def read_json(path: Path) -> list[Row]:
    """A list of objects. Raises `NotFoundError`, `InvalidRequestError`."""
    try:
        rows = json.loads(_existing(path).read_text("utf-8"))
    except ValueError as error:
        raise InvalidRequestError(f"{path.name} is not JSON.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidRequestError(f"{path.name} is not a list of questions.")
    return rows


def read_csv(path: Path) -> Iterator[Row]:
    """The rows of a table with a header. Raises `NotFoundError`."""
    with _existing(path).open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file)


def read_parquet(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[Row]:
    """The rows of parquet files, one after the other. Raises `NotFoundError`, `InvalidRequestError`."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InvalidRequestError("Parquet files need pyarrow: pip install 'mmedagent[rl]'.") from error
    if not paths:
        raise NotFoundError("There are no parquet files of this split in the folder.")
    for path in paths:
        try:
            for batch in ParquetFile(path).iter_batches(batch_size=16, columns=[*columns]):
                yield from batch.to_pylist()
        except (ArrowException, KeyError) as error:
            raise InvalidRequestError(f"{path.name} is not the parquet file that is expected here.") from error


def text_of(row: Row, *names: str) -> str:
    """The first of these fields that the row has, as trimmed text. Raises `InvalidRequestError`."""
    for name in names:
        if row.get(name) is not None:
            return str(row[name]).strip()
    raise InvalidRequestError(f"A question has no {names[0]}.")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotFoundError(f"There is no file {path.name} in the benchmark's folder.")
    return path
