"""`mmedagent corpus`: what a person types, and what they read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from mmedagent.cli.main import app
from mmedagent.protocol.errors import InvalidRequestError, NotFoundError
from mmedagent.tool_workers.retrieval import indexing
from mmedagent.tool_workers.retrieval.passages import MAX_WORDS
from mmedagent.tool_workers.retrieval.readers import SUFFIXES
from mmedagent.tool_workers.retrieval.readers.child import MEMORY_BYTES, TIMEOUT_S
from mmedagent.tool_workers.retrieval.readers.jsonl import MAX_ROW
from mmedagent.tool_workers.retrieval.readers.outline import MAX_PASSAGES
from mmedagent.tool_workers.retrieval.readers.pdf import MAX_PAGES


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """`corpus add` gives each of its threads one core; the number is the process's."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "texts"
    made.mkdir()
    (made / "zebra.md").write_text("# Zebra fever\n\nA disease.\n\n## Treatment\n\nRest and stripomycin help.\n")
    return made


def run(tmp_path: Path, *arguments: str, typed: str = "") -> Result:
    """The ended command; an error with a meaning is raised, as `main` gets it."""
    ended = CliRunner().invoke(app, ["corpus", *arguments, "--data-dir", str(tmp_path / "data")], input=typed)
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended


def test_a_corpus_is_added_listed_searched_and_removed(tmp_path: Path, folder: Path) -> None:
    added = run(tmp_path, "add", str(folder), "--name", "horses")
    assert added.exit_code == 0
    assert "horses: 1 files added, 0 changed, 0 unchanged, 0 removed; 2 passages" in added.output
    assert "100%" in run(tmp_path, "list").output
    found = run(tmp_path, "search", "How is zebra fever treated?", "--name", "horses", "--json")
    [first, *_] = json.loads(found.stdout)["passages"]
    assert (first["text"], first["source"]) == ("Rest and stripomycin help.", "horses: zebra.md")
    both = run(tmp_path, "search", "Is stripomycin given for zebra fever?", "--top-k", "1")
    assert "horses: zebra.md" in both.output
    assert run(tmp_path, "remove", "horses", typed="n\n").exit_code == 1
    assert "horses" in run(tmp_path, "list").output
    assert run(tmp_path, "remove", "horses", "--yes").exit_code == 0
    assert "no corpora yet" in run(tmp_path, "list").output


def test_embedding_can_be_left_for_later(tmp_path: Path, folder: Path) -> None:
    run(tmp_path, "add", str(folder), "--name", "horses", "--no-embed")
    assert "0%" in run(tmp_path, "list").output
    assert "Embedding" in run(tmp_path, "add", str(folder), "--name", "horses").output
    assert "100%" in run(tmp_path, "list").output


def test_files_that_are_left_out_are_named(tmp_path: Path, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7")
    (folder / "rows.jsonl").write_text('{"id": "1", "title": "A", "text": "B."}\nnonsense')
    ended = run(tmp_path, "add", str(folder), "--name", "horses", "--no-embed")
    assert ended.exit_code == 1
    assert "left out broken.pdf: It is a damaged PDF, or none." in ended.output
    assert "rows.jsonl: line 2: " in ended.output
    assert "2 files added" in ended.output


def test_pruning_deletes_what_is_gone(tmp_path: Path, folder: Path) -> None:
    (folder / "gone.md").write_text("# Gone\nText.")
    run(tmp_path, "add", str(folder), "--name", "horses", "--no-embed")
    (folder / "gone.md").unlink()
    assert "1 removed" in run(tmp_path, "add", str(folder), "--name", "horses", "--no-embed", "--prune").output


def test_the_handbook_alone_can_be_searched(tmp_path: Path) -> None:
    found = run(tmp_path, "search", "How is asthma treated?", "--name", "handbook", "--top-k", "1")
    assert "mmedagent handbook: Asthma, Treatment" in found.output
    assert "No passage is about this." in run(tmp_path, "search", "Who won the match?", "--name", "handbook").output


def test_mistakes_are_one_sentence(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NotFoundError, match="There is no corpus zebras; there is: none"):
        run(tmp_path, "remove", "zebras")
    with pytest.raises(NotFoundError, match="There is no corpus zebras"):
        run(tmp_path, "search", "x", "--name", "zebras")
    with pytest.raises(InvalidRequestError, match="cannot be called"):
        run(tmp_path, "add", str(folder), "--name", "My Texts")
    assert not (tmp_path / "data").exists()


def test_a_damaged_corpus_is_listed_as_such(tmp_path: Path, folder: Path) -> None:
    run(tmp_path, "add", str(folder), "--name", "horses", "--no-embed")
    (tmp_path / "data" / "corpora" / "broken.sqlite").write_bytes(b"no database" * 1_000)
    listed = run(tmp_path, "list")
    assert "horses" in listed.stdout
    assert "The corpus broken cannot be read" in listed.stderr


def test_the_documented_limits_are_those_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "corpus.md").read_text("utf-8")
    for line in (
        f"| a file | {indexing.MAX_FILE_BYTES // 2**20} MiB |",
        f"| files of a corpus | {indexing.MAX_FILES:,} |",
        f"| pages of a PDF | {MAX_PAGES:,} |",
        f"| passages of a file | {MAX_PASSAGES:,} |",
        f"| passages of a corpus | {indexing.MAX_CORPUS_PASSAGES:,} |",
        f"| a row of JSON Lines | {MAX_ROW:,} characters |",
        f"| time and memory for a file | {TIMEOUT_S} s, {MEMORY_BYTES // 2**30} GiB |",
        f"at most {MAX_WORDS} words",
    ):
        assert line in page
    assert all(f"`{suffix}`" in page for suffix in SUFFIXES)
