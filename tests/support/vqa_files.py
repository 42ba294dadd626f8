"""Tiny benchmarks in the file formats in which the real ones are published."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmedagent.imaging.png import encode_frame

PICTURE = encode_frame(np.full((8, 8), 90, np.uint8))


def picture_at(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PICTURE)


def json_at(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), "utf-8")


def parquet_at(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)


def vqa_rad(folder: Path) -> None:
    row = {"image_name": "synpic1.jpg", "question": "Is there a pneumothorax?", "answer_type": "CLOSED "}
    json_at(
        folder / "VQA_RAD Dataset Public.json",
        [
            {**row, "qid": 1, "phrase_type": "test_freeform", "answer": "Yes"},
            {**row, "qid": 2, "phrase_type": "freeform", "answer": "No"},
            {
                **row,
                "qid": 3,
                "phrase_type": "test_para",
                "question": "Which lobe?",
                "answer": "Right upper lobe",
                "answer_type": "OPEN",
            },
        ],
    )
    picture_at(folder / "VQA_RAD Image Folder" / "synpic1.jpg")


def slake(folder: Path) -> None:
    row = {"img_name": "xmlab1/source.jpg", "modality": "CT", "location": "Lung", "img_id": 1}
    json_at(
        folder / "test.json",
        [
            {**row, "qid": 7, "q_lang": "en", "question": "Which organ?", "answer": "Lung", "answer_type": "OPEN"},
            {**row, "qid": 8, "q_lang": "zh", "question": "?", "answer": "?", "answer_type": "OPEN"},
            {**row, "qid": 9, "q_lang": "en", "question": "Is it healthy?", "answer": "No", "answer_type": "CLOSED"},
        ],
    )
    picture_at(folder / "imgs" / "xmlab1" / "source.jpg")


def path_vqa(folder: Path) -> None:
    image = {"bytes": PICTURE, "path": None}
    parquet_at(
        folder / "data" / "test-00000-of-00001.parquet",
        [
            {"image": image, "question": "Is necrosis present?", "answer": "yes"},
            {"image": image, "question": "What is present?", "answer": "granuloma"},
        ],
    )


def omnimedvqa(folder: Path) -> None:
    row = {"dataset": "D", "question_type": "Modality Recognition", "image_path": "Images/D/1.png"}
    options = {"option_A": "MR", "option_B": "CT", "option_C": "Ultrasound"}
    json_at(
        folder / "QA_information" / "Open-access" / "D.json",
        [
            {**row, **options, "question_id": "D_1", "question": "Which?", "gt_answer": "CT", "modality_type": "CT"},
            {**row, **options, "question_id": "D_2", "question": "Which?", "gt_answer": "MR", "modality": "MR"},
        ],
    )
    picture_at(folder / "Images" / "D" / "1.png")


def pmc_vqa(folder: Path) -> None:
    choices = {"Choice A": " A:Colon ", "Choice B": " B:Liver ", "Choice C": " C:Lung ", "Choice D": " D:Bone "}
    row = {"index": 0, "Figure_path": "PMC1.jpg", "Caption": "", "Question": "Which organ?", **choices}
    _csv_at(folder / "test_2.csv", {**row, "Answer": "B"})
    picture_at(folder / "figures" / "PMC1.jpg")


def pmc_vqa_first(folder: Path) -> None:
    choices = {"Choice A": " A:Colon ", "Choice B": " B:Liver ", "Choice C": " C:Lung ", "Choice D": " D:Bone "}
    row = {"Figure_path": "PMC1.jpg", "Question": "Which organ?", "Answer": " Lung ", **choices}
    _csv_at(folder / "test.csv", {**row, "Answer_label": "C"})
    picture_at(folder / "images" / "PMC1.jpg")


def mmmu_medicine(folder: Path, answer: str = "B") -> None:
    subjects = (
        "Basic_Medical_Science",
        "Clinical_Medicine",
        "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy",
        "Public_Health",
    )
    for subject in subjects:
        row = {
            "id": f"validation_{subject}_1",
            "question": "Which of these is shown in <image 1>?",
            "options": "['A cyst', \"Crohn's disease\"]",
            "answer": answer,
            "question_type": "multiple-choice",
            **{f"image_{number}": None for number in range(2, 8)},
            "image_1": {"bytes": PICTURE, "path": "x.png"},
        }
        opened = {**row, "id": f"validation_{subject}_2", "options": "[]", "answer": "24", "question_type": "open"}
        parquet_at(folder / subject / "validation-00000-of-00001.parquet", [row, opened])


def _csv_at(path: Path, row: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*row])
        writer.writeheader()
        writer.writerow(row)
