"""Words that must not leak go in by every door, and are looked for wherever something is written."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydantic import SecretStr

from mmedagent.serving.logs import JsonFormatter
from mmedagent.serving.tool import Tool
from support.images import CT_FILE, png_bytes
from support.script import action, answer, plan, rule
from support.system import WORKER_TOKEN, System, running_system
from support.tools import BrokenTool, EchoTool, MaskTool

NAME, PATIENT_ID, BIRTH_DATE = "Canaryname", "CANARY-ID-4711", "19011231"
PHYSICIAN, INSTITUTION, ACCESSION = "Canaryphysician", "Canaryhospital", "CANARYACC42"
COMMENT, UID = "canary comment words", "1.2.826.0.1.3680043.8.498.999888777"
FILE_NAME, QUESTION, KEY = "canary-file-name", "canary question words", "canary-api-key"
IDENTITY = (NAME, PATIENT_ID, BIRTH_DATE, PHYSICIAN, INSTITUTION, ACCESSION, COMMENT, UID, FILE_NAME)
SECRETS = (KEY, WORKER_TOKEN)
RULES = [
    rule("broken", plan(action("broken", how="crash")), answer("It broke.")),
    rule("", plan(action("mask")), answer("Outlined.")),
]


def identified_ct() -> bytes:
    """The CT slice with an invented patient in it."""
    dataset = pydicom.dcmread(CT_FILE)
    dataset.PatientName = f"{NAME}^First"
    dataset.PatientID = PATIENT_ID
    dataset.PatientBirthDate = BIRTH_DATE
    dataset.ReferringPhysicianName = PHYSICIAN
    dataset.InstitutionName = INSTITUTION
    dataset.AccessionNumber = ACCESSION
    dataset.ImageComments = COMMENT
    dataset.StudyInstanceUID = UID
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    content = buffer.getvalue()
    assert all(word.encode() in content for word in IDENTITY[:-1])
    return content


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    """Everything that is logged, at every level, as the processes of a system write it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    quiet = [logging.getLogger(name) for name in ("httpx", "httpcore", "urllib3", "asyncio")]
    levels = [one.level for one in quiet]
    for one in quiet:
        one.setLevel(logging.WARNING)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)
    for one, before in zip(quiet, levels, strict=True):
        one.setLevel(before)


def use_every_door(system: System) -> list[str]:
    """Send the words everywhere; returns the bodies of all problems."""
    http, problems = system.http, []
    upload = http.post("/v1/files", files={"file": (f"{FILE_NAME}.dcm", identified_ct())}).json()
    parts = [{"type": "input_text", "text": QUESTION}, {"type": "input_image", "file_id": upload["id"]}]
    asked = http.post("/v1/responses", json={"input": [{"role": "user", "content": parts}]})
    assert asked.status_code == 200
    assert asked.json()["output"][-1]["content"][0]["text"] == "Outlined."
    broken = http.post("/v1/responses", json={"input": f"broken {QUESTION}", "user": NAME})
    assert broken.status_code == 200
    broken_files = (identified_ct()[:5_000], NAME.encode(), png_bytes()[:60] + PATIENT_ID.encode())
    problems += [http.post("/v1/files", files={"file": (FILE_NAME, content)}) for content in broken_files]
    body = {"input": [{"role": "user", "content": [{"type": NAME}, {"type": "input_image", "image_url": FILE_NAME}]}]}
    problems.append(http.post("/v1/responses", json=body))
    problems.append(http.post("/v1/responses", json={"input": [{"role": QUESTION, "content": QUESTION}]}))
    problems.append(http.post("/v1/responses", json={"input": QUESTION, "conversation": "conv_0"}))
    problems.append(http.post("/v1/responses", content=f'{{"input": "{QUESTION}'.encode()))
    problems.append(http.post("/v1/tools/echo/invoke", json={"parameters": {"boxes": 1}, "file_id": QUESTION}))
    problems.append(http.post("/v1/tools/broken/invoke", json={"parameters": {"how": "crash"}}))
    problems.append(http.get(f"/v1/{NAME}", params={"name": PATIENT_ID}))
    problems.append(http.get("/v1/files/x", headers={"Authorization": f"Bearer {KEY}x"}))
    problems.append(http.post("/internal/workers", json={}, headers={"Authorization": f"Bearer {KEY}"}))
    problems.append(http.get("/v1/files", headers={"Host": NAME, "X-Request-Id": f"{NAME} {QUESTION}"}))
    assert all(problem.status_code >= 400 for problem in problems), [one.status_code for one in problems]
    return [problem.text for problem in problems]


def database_bytes(system: System) -> bytes:
    """The database as it is on disk, its write-ahead log included."""
    folder = system.settings.data_dir
    return b"".join(path.read_bytes() for path in folder.glob("mmedagent.sqlite*"))


def blob_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def assert_absent(words: tuple[str, ...], text: str, place: str) -> None:
    found = [word for word in words if word.casefold() in text.casefold()]
    assert found == [], f"in {place}"


def test_nothing_leaks(tmp_path: Path, log_lines: io.StringIO) -> None:
    tools: list[Tool] = [EchoTool(), MaskTool(), BrokenTool()]
    with running_system(tmp_path, RULES, tools, api_key=SecretStr(KEY)) as system:
        problems = use_every_door(system)
        metrics = [system.http.get(f"{url}/metrics").text for url in (system.url, system.workers["tools"].url)]
        stored = database_bytes(system).decode("latin-1")
    stored += database_bytes(system).decode("latin-1")
    logged = log_lines.getvalue()
    assert '"event": "turn"' in logged
    assert "mmedagent_http_requests_total" in metrics[0]
    assert QUESTION in stored
    assert_absent((*IDENTITY, *SECRETS, QUESTION), logged, "the logs")
    assert_absent((*IDENTITY, *SECRETS, QUESTION), "".join(metrics), "the metrics")
    assert_absent((*IDENTITY, *SECRETS), stored, "the database")
    assert_absent((*IDENTITY, *SECRETS, QUESTION), "".join(problems), "the problems")
    assert_absent((*IDENTITY, *SECRETS, QUESTION), blob_bytes(tmp_path / "data" / "blobs").decode("latin-1"), "blobs")
