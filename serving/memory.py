"""How much memory this process holds."""

import os
from pathlib import Path

_STATM = Path("/proc/self/statm")
"""Pages in all, resident pages, and more (Linux, proc(5))."""


def resident_bytes() -> int | None:
    """Bytes of memory that the process holds now, None on a system that does not tell."""
    try:
        resident = int(_STATM.read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return resident * os.sysconf("SC_PAGE_SIZE")
