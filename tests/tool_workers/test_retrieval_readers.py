"""Files of the user as documents: titles, sections, pages, limits, and files that are broken or mean harm."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mmedagent.protocol.errors import InvalidRequestError, TooLargeError
from mmedagent.tool_workers.retrieval.passages import MAX_WORDS, Document, chunks, sentence_spans
from mmedagent.tool_workers.retrieval.readers import SUFFIXES, Reading, read_content
from mmedagent.tool_workers.retrieval.readers.process import ReaderProcess
from mmedagent.tool_workers.retrieval.section_questions import question_of
from support.pdf import pdf

MARKDOWN = """---
title: "Fluids in children"
author: nobody
---
# Fluids in children

A child who *vomits* needs [fluids](https://example.org/never-fetched).

## Treatment

### Drinking

Give small sips. Use e.g. rehydration solution.

- first item
- second item

| age | volume |
|---|---|
| 2 years | 50 ml |

<div>Never give <b>salt</b><script>alert(1)</script>.</div>
"""
DRINKING = """Give small sips. Use e.g. rehydration solution.
first item
second item
age; volume
2 years; 50 ml
Never give salt."""
HTML = b"""<!doctype html><html><head><title>Zebra fever - Hospital</title><style>p {}</style></head>
<body><nav>Home</nav><h1>Zebra fever</h1><p>A <b>striped</b> disease.<p hidden>secret</p>
<h2>Treatment</h2><ul><li>Rest<li>Drink</ul><table><tr><th>Drug<th>Dose</tr><tr><td>Salt<td>5 mg</table>
<img src="http://127.0.0.1:9/x.png" alt="x"><script>steal()</script><footer>Imprint</footer></body></html>"""


def read(content: bytes | str, name: str) -> Reading:
    stem, _, ending = name.rpartition(".")
    return read_content(content.encode() if isinstance(content, str) else content, f".{ending}", name, stem)


def texts(reading: Reading) -> list[tuple[str, str, str]]:
    return [(one.title, part.section, part.text) for one in reading.documents for part in one.passages]


def outcome(reader: ReaderProcess, content: bytes, suffix: str) -> str:
    try:
        return f"{len(reader.read(content, suffix, 'file', 'file').documents)} documents."
    except (InvalidRequestError, TooLargeError) as error:
        return error.detail


@pytest.fixture(scope="module")
def reader() -> Iterator[ReaderProcess]:
    with ReaderProcess() as process:
        yield process


def test_markdown_keeps_titles_and_sections() -> None:
    assert texts(read(MARKDOWN, "fluids.md")) == [
        ("Fluids in children", "", "A child who vomits needs fluids."),
        (
            "Fluids in children",
            "Treatment > Drinking",
            DRINKING,
        ),
    ]


def test_a_page_with_synonyms_is_known_by_all_its_names() -> None:
    [page] = read('+++\ntitle = "Asthma"\nsynonyms = ["wheezing disease"]\n+++\n\n## Overview\nText.', "a.md").documents
    assert page.names == ("Asthma", "wheezing disease")


def test_several_chapters_are_several_documents() -> None:
    reading = read("Preface.\n\n# Asthma\n\n## Causes\nDust.\n\n# Gout\nUric acid.", "book.md")
    assert texts(reading) == [("book", "", "Preface."), ("Asthma", "Causes", "Dust."), ("Gout", "", "Uric acid.")]


def test_html_is_read_as_text() -> None:
    assert texts(read(HTML, "zebra.html")) == [
        ("Zebra fever", "", "A striped disease."),
        ("Zebra fever", "Treatment", "Rest\nDrink\nDrug; Dose\nSalt; 5 mg"),
    ]


def test_html_without_a_heading_has_its_title() -> None:
    assert texts(read("<title>Gout</title><p>Uric acid.", "page.htm")) == [("Gout", "", "Uric acid.")]


@pytest.mark.parametrize("head", [b"", b'<meta charset="iso-8859-1">'])
def test_html_follows_its_own_encoding(head: bytes) -> None:
    encoding = "iso-8859-1" if head else "utf-8"
    [(_, _, text)] = texts(read(head + "<p>Bösartig".encode(encoding), "page.html"))
    assert text == "Bösartig"


def test_pdf_keeps_pages_and_the_outline() -> None:
    content = pdf(
        [["Zebra fever is rare.", "It is an inflam-", "mation."], [], ["Give rest."]],
        title="Zebra guide",
        outline=[("Overview", 0), ("Treatment", 1)],
    )
    [document] = read(content, "zebra.pdf").documents
    assert document.title == "Zebra guide"
    assert [(one.section, one.text, one.place, one.page) for one in document.passages] == [
        ("Overview", "Zebra fever is rare. It is an inflammation.", "zebra.pdf, page 1", 1),
        ("Treatment", "Give rest.", "zebra.pdf, page 3", 3),
    ]


def test_jsonl_has_a_document_a_row() -> None:
    rows = [
        {"id": 7, "title": "Trial of salt", "text": "It helped.\nA little.", "source": "PMID 7", "year": 1999},
        {"id": "8", "title": "", "text": "It did not.", "section": "Results"},
    ]
    reading = read("\n".join(map(json.dumps, rows)), "trials.jsonl")
    assert texts(reading) == [("Trial of salt", "", "It helped.\nA little."), ("8", "Results", "It did not.")]
    assert [part.place for one in reading.documents for part in one.passages] == ["PMID 7", "trials.jsonl, 8"]


def test_rows_that_are_wrong_are_named_and_the_others_stay() -> None:
    good = json.dumps({"id": "1", "title": "Good", "text": "Good."})
    reading = read(f'{good}\nnonsense\n{{"id": "2"}}\n\n{good}', "rows.jsonl")
    assert len(reading.documents) == 2
    assert [note.split(":")[0] for note in reading.notes] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"%PDF-1.7 and then nothing", "broken.pdf"),
        (b"", "empty.pdf"),
        (b"\xff\xfe\x00", "binary.md"),
        (b"+++\ntitle = \n+++\n", "front.md"),
        (b"", "empty.html"),
        (b"nonsense\nmore", "rows.jsonl"),
        (pdf([["secret"]], locked_with="x"), "locked.pdf"),
    ],
)
def test_what_is_broken_is_refused_with_a_sentence(content: bytes, name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^Its? .*\.$"):
        read(content, name)


def test_too_many_passages_are_refused() -> None:
    row = json.dumps({"id": "1", "title": "A", "text": "Words."})
    with pytest.raises(TooLargeError, match="more than 50,000 passages"):
        read("\n".join([row] * 50_001), "rows.jsonl")


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_noise_gives_a_reading_or_a_sentence(suffix: str, reader: ReaderProcess) -> None:
    for content in (bytes(range(256)) * 40, b"<" * 50_000, b"[" * 50_000, b"# " * 20_000, b"| a " * 9_000):
        assert outcome(reader, content, suffix).endswith(".")


def test_the_process_reads_like_the_function(reader: ReaderProcess) -> None:
    assert reader.read(MARKDOWN.encode(), ".md", "fluids.md", "fluids") == read(MARKDOWN, "fluids.md")
    with pytest.raises(TooLargeError):
        reader.read(b'{"id": "1", "title": "A", "text": "B"}\n' * 50_001, ".jsonl", "rows.jsonl", "rows")


def test_a_file_that_ends_the_process_does_not_hurt_the_next(reader: ReaderProcess) -> None:
    # A page tree that contains itself again and again.
    bomb = pdf([["x"]]).replace(b"/Count 1", b"/Count 9" + b"9" * 30)
    deep = b"<div>" * 300_000
    for content, suffix in ((bomb, ".pdf"), (deep, ".html"), (b"> " * 200_000, ".md")):
        assert outcome(reader, content, suffix).endswith(".")
    assert reader.read(b"# A\nText.", ".md", "a.md", "a").documents


def test_a_killed_process_is_an_unreadable_file() -> None:
    with ReaderProcess() as process:
        process.read(b"# A\nText.", ".md", "a.md", "a")
        child = process._child
        assert child is not None
        child.send_signal(signal.SIGKILL)
        child.wait()
        with pytest.raises(InvalidRequestError, match="damaged"):
            process.read(b"# A\nText.", ".md", "a.md", "a")
        assert process.read(b"# A\nText.", ".md", "a.md", "a").documents


def test_the_process_needs_no_model_library() -> None:
    code = "import sys; import mmedagent.tool_workers.retrieval.readers.child; print('torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True, text=True)
    assert printed.stdout.strip() == "False"


def test_sentences_are_found_in_english() -> None:
    text = "It hurts (e.g. at night). See Fig. 2 by Dr. Who.\nNext line without a stop\n“Quoted.” The end"
    assert [text[start:end] for start, end in sentence_spans(text)] == [
        "It hurts (e.g. at night).",
        "See Fig. 2 by Dr. Who.",
        "Next line without a stop",
        "“Quoted.”",
        "The end",
    ]


def test_passages_are_bounded_and_lose_nothing() -> None:
    blocks = ["One two three. " * 100, "x" * 5_000, "word " * 2_000]
    made = list(chunks(blocks))
    assert all(len(text.split()) <= MAX_WORDS for text in made)
    assert "".join("".join(made).split()) == "".join("".join(blocks).split())


def test_headings_become_questions() -> None:
    assert question_of("Asthma", "Care > TREATMENT") == "How is Asthma treated?"
    assert question_of("Asthma", "Inhalers") == "Asthma: Inhalers"
    assert question_of("Asthma", "") == "Asthma"


def test_a_document_is_called_by_its_first_name() -> None:
    assert Document(("Asthma", "wheeze"), ()).title == "Asthma"
