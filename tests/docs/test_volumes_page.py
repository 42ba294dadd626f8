"""The page on volumes states the limits and presets of the code."""

from __future__ import annotations

import re

from docs.pages import read, table
from mmedagent.controller.frames import CACHE_BYTES
from mmedagent.controller.settings import ControllerSettings
from mmedagent.imaging import limits
from mmedagent.imaging.sandbox import SERIES_TIMEOUT_S
from mmedagent.imaging.windowing import CT_PRESETS

PAGE = read("docs/volumes.md")
MIB = 2**20


def test_limits() -> None:
    upload = ControllerSettings.model_fields["max_upload_bytes"].default
    assert dict(table(PAGE, "what", "most")) == {
        "an upload, all files together": f"{upload // MIB} MiB ([settings.md](settings.md))",
        "values of a study as stored": f"{limits.MAX_STUDY_BYTES // MIB} MiB, for example 512 x 512 x 512 of 16 bits",
        "slices of a study": f"{limits.MAX_STUDY_FRAMES:,}",
        "side of a slice": f"{limits.MAX_AXIS:,} pixels",
        "files in an upload, members of an archive": f"{limits.MAX_FILES:,}",
        "an archive, unpacked": f"{limits.MAX_UNPACKED_BYTES // MIB} MiB, and {limits.MAX_RATIO} times its size "
        f"where that is over {limits.UNSUSPICIOUS_BYTES // MIB} MiB",
        "time to decode a series": f"{SERIES_TIMEOUT_S:g} s",
    }
    assert f"Up to {CACHE_BYTES // MIB} MiB of frames" in PAGE


def test_presets() -> None:
    text = " ".join(PAGE.split())
    stated = re.findall(r"(soft tissue|lung|bone|brain|liver) (-?\d+)/(\d+)", text.partition("Hounsfield units:")[2])
    assert {name: (float(center), float(width)) for name, center, width in stated} == CT_PRESETS
