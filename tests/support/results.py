"""Results of tools that were never run, for tests of what is made of them."""

from __future__ import annotations

from mmedagent.protocol.invocation import Provenance


def provenance(tool: str) -> Provenance:
    return Provenance(
        tool=tool,
        version="1.0.0",
        checkpoint_sha256=None,
        preprocessing="none",
        input_sha256=(),
        output_sha256="0" * 64,
        seconds=0.1,
    )
