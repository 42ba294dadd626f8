"""How often the reading of an option out of a reply is wrong itself, on replies that were marked by hand before."""

from __future__ import annotations

import tomllib
from pathlib import Path

from mmedagent.protocol.consultation import chosen_option

MARKED = tomllib.loads((Path(__file__).parent / "answer_replies.toml").read_text("utf-8"))["question"]
HIGHEST_ERROR = 0.05


def read() -> list[tuple[str, str, str]]:
    """Each reply with the option that it means and the one that is read, empty for none."""
    found = []
    for question in MARKED:
        options = question["options"]
        for reply, meant in question["replies"]:
            index = chosen_option(reply, options)
            found.append((reply, meant, options[index] if index is not None else ""))
    return found


def test_no_reply_is_read_as_an_option_that_it_does_not_mean() -> None:
    assert [one for one in read() if one[2] not in {"", one[1]}] == []


def test_few_replies_that_mean_an_option_are_not_read() -> None:
    replies = read()
    missed = [one for one in replies if one[1] != one[2]]
    assert len(replies) > 90
    assert len(missed) / len(replies) <= HIGHEST_ERROR, missed
