"""The readers of public benchmarks, on files in their published formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmedagent.evaluation.vqa.benchmarks import NAMES, benchmark_of, published
from mmedagent.evaluation.vqa.cases import VqaCase
from mmedagent.protocol.errors import InvalidRequestError, NotFoundError
from support import vqa_files

Seen = tuple[str, tuple[str, ...], str, str]

EXPECTED: dict[str, tuple[Callable[[Path], None], str, list[Seen]]] = {
    "vqa-rad": (
        vqa_files.vqa_rad,
        "test",
        [("1", ("yes", "no"), "yes", "closed"), ("3", (), "right upper lobe", "open")],
    ),
    "slake": (vqa_files.slake, "test", [("7", (), "lung", "open"), ("9", ("yes", "no"), "no", "closed")]),
    "path-vqa": (
        vqa_files.path_vqa,
        "test",
        [("test-0", ("yes", "no"), "yes", "closed"), ("test-1", (), "granuloma", "open")],
    ),
    "omnimedvqa": (
        vqa_files.omnimedvqa,
        "test",
        [("D_1", ("MR", "CT", "Ultrasound"), "CT", "CT"), ("D_2", ("MR", "CT", "Ultrasound"), "MR", "MR")],
    ),
    "pmc-vqa": (vqa_files.pmc_vqa, "test", [("test-0", ("Colon", "Liver", "Lung", "Bone"), "Liver", "figure")]),
    "mmmu-medicine": (
        vqa_files.mmmu_medicine,
        "validation",
        [
            (
                "validation_Basic_Medical_Science_1",
                ("A cyst", "Crohn's disease"),
                "Crohn's disease",
                "Basic_Medical_Science",
            ),
            ("validation_Basic_Medical_Science_2", (), "24", "Basic_Medical_Science"),
        ],
    ),
}


def read(name: str, folder: Path, split: str) -> list[VqaCase]:
    return list(benchmark_of(name).cases(folder, split))


def test_every_benchmark_has_files_here() -> None:
    assert sorted(EXPECTED) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_is_read_as_it_is_published(name: str, tmp_path: Path) -> None:
    write, split, expected = EXPECTED[name]
    write(tmp_path)
    cases = read(name, tmp_path, split)
    assert [(case.id, case.options, case.answer, case.group) for case in cases[: len(expected)]] == expected
    assert all(case.images() == (vqa_files.PICTURE,) for case in cases)


def test_the_first_version_of_pmc_vqa_is_read_too(tmp_path: Path) -> None:
    vqa_files.pmc_vqa_first(tmp_path)
    assert [case.answer for case in read("pmc-vqa", tmp_path, "test")] == ["Lung"]


def test_the_training_split_of_vqa_rad_is_the_rest(tmp_path: Path) -> None:
    vqa_files.vqa_rad(tmp_path)
    assert [case.id for case in read("vqa-rad", tmp_path, "train")] == ["2"]


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_is_refused_in_words(name: str, tmp_path: Path) -> None:
    if name == "omnimedvqa":
        assert read(name, tmp_path, "test") == []
    else:
        with pytest.raises(NotFoundError):
            read(name, tmp_path, "test")


def test_an_image_outside_of_the_folder_is_refused(tmp_path: Path) -> None:
    vqa_files.slake(tmp_path)
    rows = json.loads((tmp_path / "test.json").read_text())
    rows[0]["img_name"] = "../../../etc/passwd"
    vqa_files.json_at(tmp_path / "test.json", rows)
    with pytest.raises(InvalidRequestError, match="outside"):
        read("slake", tmp_path, "test")


def test_hidden_answers_are_named(tmp_path: Path) -> None:
    vqa_files.mmmu_medicine(tmp_path, answer="?")
    with pytest.raises(InvalidRequestError, match="no answers"):
        read("mmmu-medicine", tmp_path, "validation")


@pytest.mark.parametrize("options", ["__import__('os').getcwd()", "[", "{'a': 1}", "[" * 3_000, "x" * 30_000])
def test_options_that_are_no_list_of_literals_are_refused(options: str, tmp_path: Path) -> None:
    vqa_files.mmmu_medicine(tmp_path)
    path = tmp_path / "Basic_Medical_Science" / "validation-00000-of-00001.parquet"
    import pyarrow.parquet as pq

    rows = pq.read_table(path).to_pylist()
    vqa_files.parquet_at(path, [{**rows[0], "options": options}])
    with pytest.raises(InvalidRequestError):
        read("mmmu-medicine", tmp_path, "validation")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(NotFoundError, match="pmc-vqa"):
        benchmark_of("vqa")


def test_published_figures_are_there_for_the_five_of_the_paper() -> None:
    assert {name for name in NAMES if published(name)} == set(NAMES) - {"pmc-vqa"}
