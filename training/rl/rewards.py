"""Rewards of the consultation's reinforcement learning, as in MMedAgent-RL: 0.5 for the form, and 1 for the answer.

Pure Python over `protocol/consultation.py`, so that TRL and a verl recipe score by the same lines. There is no reward
model and no partial credit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmedagent.protocol.consultation import chosen_option, normalised, read_reply

FORMAT_REWARD, ACCURACY_REWARD = 0.5, 1.0


def format_reward(reply: str) -> float:
    """0.5 if the reply has exactly the form `<think>…</think><answer>…</answer>`, else 0."""
    return FORMAT_REWARD if read_reply(reply) is not None else 0.0


def accuracy_reward(reply: str, solution: str, options: Sequence[str] = ()) -> float:
    """1 if a reply in the form answers right, else 0.

    With `options`, `solution` is the text of the right one, and the answer may name it by its letter or its text.
    Without, answer and solution are compared as words.
    """
    said = read_reply(reply)
    if said is None:
        return 0.0
    if not options:
        return ACCURACY_REWARD if normalised(said.answer) == normalised(solution) else 0.0
    chosen = chosen_option(said.answer, options)
    return ACCURACY_REWARD if chosen is not None and options[chosen] == solution else 0.0


def score(reply: str, solution: str, options: Sequence[str] = ()) -> float:
    """Both rewards together: 0, 0.5 or 1.5."""
    return format_reward(reply) + accuracy_reward(reply, solution, options)


def text_of(completion: Any) -> str:
    """What TRL hands to rewards, a string or a list with one message, as text."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def format_rewards(completions: Sequence[Any], **_: Any) -> list[float]:
    """`format_reward` in TRL's form."""
    return [format_reward(text_of(one)) for one in completions]


def accuracy_rewards(
    completions: Sequence[Any], solution: Sequence[str], options: Sequence[Sequence[str]], **_: Any
) -> list[float]:
    """`accuracy_reward` in TRL's form; `solution` and `options` are columns of the data."""
    return [
        accuracy_reward(text_of(one), right, named)
        for one, right, named in zip(completions, solution, options, strict=True)
    ]
