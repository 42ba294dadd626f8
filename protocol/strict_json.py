"""JSON that a model wrote, read strictly: standard constants, no key twice, bounded nesting, and no repair."""

from __future__ import annotations

import json
from typing import Any, NoReturn

MAX_NESTING = 32


def read_json(text: str) -> tuple[Any, int]:
    """The JSON value that `text` begins with, and where it ends.

    Raises `ValueError`, whose text completes a sentence that begins with what was read.
    """
    decoder = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates)
    try:
        value, end = decoder.raw_decode(text)
        too_deep = _nesting(value) > MAX_NESTING
    except ValueError as error:
        raise ValueError("not valid JSON") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if too_deep:
        raise ValueError("nested too deeply")
    return value, end


def _nesting(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_nesting, inner), default=0)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found
