"""PathVQA, OmniMedVQA, PMC-VQA and the health and medicine part of MMMU."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mmedagent.evaluation.vqa.cases import (
    LETTERS,
    Row,
    VqaCase,
    inside,
    options_of,
    picture,
    read_csv,
    read_json,
    read_parquet,
    text_of,
)
from mmedagent.protocol.errors import InvalidRequestError

MMMU_SUBJECTS = (
    "Basic_Medical_Science",
    "Clinical_Medicine",
    "Diagnostics_and_Laboratory_Medicine",
    "Pharmacy",
    "Public_Health",
)
MMMU_IMAGES = 7
LONGEST_OPTIONS = 20_000
_OPTION_LETTER = re.compile(r"^\s*[A-J]\s*[:.)]\s*")


class PathVqa:
    """4,998 pathology images, 32,799 questions, as parquet files `data/<split>-*.parquet`.

    Source: He et al. 2020, arXiv 2003.10286. The pickles of the first release are not read: a pickle runs code.
    """

    name = "path-vqa"
    source = "He et al. 2020, arXiv 2003.10286"

    def cases(self, folder: Path, split: str) -> Iterator[VqaCase]:
        files = sorted((folder / "data").glob(f"{split}-*.parquet"))
        for number, row in enumerate(read_parquet(files, ("image", "question", "answer"))):
            answer = text_of(row, "answer").lower()
            yield VqaCase(
                id=f"{split}-{number}",
                question=text_of(row, "question"),
                options=options_of(answer),
                answer=answer,
                group="closed" if options_of(answer) else "open",
                images=_pictures(row, ("image",)),
            )


class OmniMedVqa:
    """Multiple choice over many modalities: one file a source in `QA_information/Open-access`. There are no splits.

    Source: Hu et al., CVPR 2024, arXiv 2402.09181.
    """

    name = "omnimedvqa"
    source = "Hu et al. 2024, arXiv 2402.09181"

    def cases(self, folder: Path, split: str) -> Iterator[VqaCase]:
        if split != "test":
            raise InvalidRequestError("OmniMedVQA has one split: test.")
        for path in sorted((folder / "QA_information" / "Open-access").glob("*.json")):
            for row in read_json(path):
                options = [str(row[f"option_{letter}"]).strip() for letter in "ABCD" if row.get(f"option_{letter}")]
                yield VqaCase(
                    id=text_of(row, "question_id"),
                    question=text_of(row, "question"),
                    options=tuple(options),
                    answer=text_of(row, "gt_answer"),
                    group=text_of(row, "modality_type", "modality"),
                    images=picture(inside(folder, text_of(row, "image_path"))),
                )


class PmcVqa:
    """Multiple choice over figures of articles: `<split>_2.csv`, or `<split>.csv` of the first version.

    In the second version `Answer` is a letter; in the first it is the text, and `Answer_label` the letter.
    Source: Zhang et al. 2023, arXiv 2305.10415.
    """

    name = "pmc-vqa"
    source = "Zhang et al. 2023, arXiv 2305.10415"

    def cases(self, folder: Path, split: str) -> Iterator[VqaCase]:
        second = folder / f"{split}_2.csv"
        images = folder / ("figures" if second.is_file() else "images")
        for number, row in enumerate(read_csv(second if second.is_file() else folder / f"{split}.csv")):
            options = tuple(_OPTION_LETTER.sub("", text_of(row, f"Choice {letter}")).strip() for letter in "ABCD")
            yield VqaCase(
                id=f"{split}-{number}",
                question=text_of(row, "Question"),
                options=options,
                answer=_lettered(options, text_of(row, "Answer_label", "Answer")),
                group="figure",
                images=picture(inside(images, text_of(row, "Figure_path"))),
            )


class MmmuMedicine:
    """The five subjects of Health & Medicine, as parquet files `<subject>/<split>-*.parquet`; `validation` has answers.

    Source: Yue et al., CVPR 2024, arXiv 2311.16502.
    """

    name = "mmmu-medicine"
    source = "Yue et al. 2024, arXiv 2311.16502"

    def cases(self, folder: Path, split: str) -> Iterator[VqaCase]:
        pictures = tuple(f"image_{number}" for number in range(1, MMMU_IMAGES + 1))
        columns = ("id", "question", "options", "answer", "question_type", *pictures)
        for subject in MMMU_SUBJECTS:
            files = sorted((folder / subject).glob(f"{split}-*.parquet"))
            for row in read_parquet(files, columns):
                options = _literal_list(text_of(row, "options"))
                answer = text_of(row, "answer")
                if answer == "?":
                    raise InvalidRequestError(f"The split {split} of MMMU has no answers; use validation.")
                yield VqaCase(
                    id=text_of(row, "id"),
                    question=text_of(row, "question"),
                    options=options,
                    answer=_lettered(options, answer) if options else answer,
                    group=subject,
                    images=_pictures(row, pictures),
                )


def _lettered(options: Sequence[str], letter: str) -> str:
    index = LETTERS.find(letter.strip().upper()) if len(letter.strip()) == 1 else -1
    if not 0 <= index < len(options):
        raise InvalidRequestError(f"An answer is {letter!r}, which is the letter of no option.")
    return options[index]


def _literal_list(text: str) -> tuple[str, ...]:
    """MMMU writes its options as a Python list, of which only literals are read."""
    if len(text) > LONGEST_OPTIONS:
        raise InvalidRequestError("The options of a question are too long.")
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise InvalidRequestError("The options of a question are no list.") from error
    if not isinstance(found, list):
        raise InvalidRequestError("The options of a question are no list.")
    return tuple(str(one).strip() for one in found)


def _pictures(row: Row, names: Sequence[str]) -> Callable[[], tuple[bytes, ...]]:
    """The pictures that a row of a parquet file carries itself."""
    found = tuple(image["bytes"] for name in names if (image := row.get(name)) is not None)
    if not found or not all(isinstance(content, bytes) for content in found):
        raise InvalidRequestError("A question carries no image.")
    return lambda: found
