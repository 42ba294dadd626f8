"""The systems that a browser looks at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from system.launch import LOOPBACK, client, free_port, launched, wait_until_ready

PAGE_FOLDER = Path(__file__).parents[2] / "webui" / "dist"


def built_page() -> Path:
    """The built page, for systems that are composed in this process."""
    assert (PAGE_FOLDER / "index.html").is_file(), "The page is not built. Build it with: make ui"
    return PAGE_FOLDER


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[str]:
    """The address of `mmedagent serve` as processes, by default with the models that it ships."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    command = ["serve", "--port", str(port), "--data-dir", "data", *arguments]
    with launched(command, folder) as running, client(url) as http:
        wait_until_ready(http, running)
        yield url
