"""The page's types of the API are those of the server's OpenAPI document."""

from __future__ import annotations

import subprocess
import sys

import pytest

from docs.pages import ROOT
from mmedagent.cli.openapi import openapi

MADE = ROOT / "webui" / "src" / "api" / "openapi.d.ts"


def test_the_types_are_made_from_the_document_of_today(capsys: pytest.CaptureFixture[str]) -> None:
    openapi()
    document = capsys.readouterr().out
    generator = [sys.executable, "hatch_build.py", "run", "--silent", "types"]
    types = subprocess.run(generator, cwd=ROOT, input=document, capture_output=True, text=True, check=False)
    assert types.returncode == 0, types.stderr
    assert types.stdout == MADE.read_text("utf-8"), "The types are out of date. Make them anew with: make types"
