"""VQA-RAD and SLAKE: radiology, with open and closed questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mmedagent.evaluation.vqa.cases import Row, VqaCase, inside, options_of, picture, read_json, text_of


class VqaRad:
    """315 images, 3,515 questions. The test split is what `phrase_type` marks with `test_`; paraphrases count, too.

    Source: Lau et al., Scientific Data 2018, 180251; the file `VQA_RAD Dataset Public.json` of osf.io/89kps.
    """

    name = "vqa-rad"
    source = "Lau et al. 2018, doi 10.1038/sdata.2018.251"

    def cases(self, folder: Path, split: str) -> Iterator[VqaCase]:
        for row in read_json(folder / "VQA_RAD Dataset Public.json"):
            if text_of(row, "phrase_type").startswith("test_") != (split == "test"):
                continue
            yield _case(row, folder / "VQA_RAD Image Folder", "image_name")


class Slake:
    """642 images; here the English half of the questions. Splits are files: `train`, `validate`, `test`.

    Source: Liu et al., ISBI 2021, arXiv 2102.09542.
    """

    name = "slake"
    source = "Liu et al. 2021, arXiv 2102.09542"

    def cases(self, folder: Path, split: str) -> Iterator[VqaCase]:
        for row in read_json(folder / f"{split}.json"):
            if text_of(row, "q_lang") != "en":
                continue
            yield _case(row, folder / "imgs", "img_name")


def _case(row: Row, images: Path, name: str) -> VqaCase:
    """A question whose picture in the folder `images` is the field `name`."""
    answer = text_of(row, "answer").lower()
    return VqaCase(
        id=text_of(row, "qid"),
        question=text_of(row, "question"),
        options=options_of(answer),
        answer=answer,
        group=text_of(row, "answer_type").lower(),
        images=picture(inside(images, text_of(row, name))),
    )
