"""From replies to accuracy: which option a reply means, or whether an open answer is the true one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.stats import bootstrap

from mmedagent.evaluation.tool_selection.scores import Share
from mmedagent.evaluation.vqa.cases import VqaCase
from mmedagent.protocol.consultation import chosen_option, normalised, read_reply, salvage_reply

RESAMPLES, BATCH, SEED = 2_000, 50, 0
OPEN, CLOSED = "open", "closed"


class Result(BaseModel):
    """One answered question, as a line of a results file. `chosen` is the option that was read, None for none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    group: str
    closed: bool
    reply: str
    chosen: str | None
    correct: bool
    in_form: bool
    seconds: float


@dataclass(frozen=True)
class VqaScores:
    """Accuracy with bootstrap intervals. `unread` is the share of closed questions whose reply named no one option."""

    overall: Share
    closed: Share
    open: Share
    by_group: Mapping[str, Share]
    in_form: Share
    unread: Share


def judged(case: VqaCase, reply: str, seconds: float) -> Result:
    """An answer compared with the truth: the option that it names, or for an open question the same words."""
    form = read_reply(reply)
    answer = (form or salvage_reply(reply)).answer
    index = chosen_option(answer, case.options) if case.options else None
    chosen = case.options[index] if index is not None else None
    correct = chosen == case.answer if case.options else normalised(answer) == normalised(case.answer)
    return Result(
        id=case.id,
        group=case.group,
        closed=bool(case.options),
        reply=reply,
        chosen=chosen,
        correct=correct,
        in_form=form is not None,
        seconds=round(seconds, 3),
    )


def scores(results: Sequence[Result]) -> VqaScores:
    """The figures of all results, by group in the order of the alphabet."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for one in results:
        groups[one.group].append(one.correct)
    closed = [one for one in results if one.closed]
    return VqaScores(
        overall=resampled(one.correct for one in results),
        closed=resampled(one.correct for one in closed),
        open=resampled(one.correct for one in results if not one.closed),
        by_group={name: resampled(groups[name]) for name in sorted(groups)},
        in_form=resampled(one.in_form for one in results),
        unread=resampled(one.chosen is None for one in closed),
    )


def resampled(hits: Iterable[bool]) -> Share:
    """A share with its bootstrap interval of 95 % (percentiles of 2,000 resamples, always the same ones)."""
    values = np.fromiter(hits, dtype=float)
    if not values.size:
        return Share(value=0, low=0, high=0, count=0)
    mean = float(values.mean())
    if values.size == 1 or values.min() == values.max():
        return Share(value=mean, low=mean, high=mean, count=values.size)
    found = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, batch=BATCH, method="percentile", rng=np.random.default_rng(SEED)
    ).confidence_interval
    return Share(value=mean, low=float(found.low), high=float(found.high), count=values.size)
