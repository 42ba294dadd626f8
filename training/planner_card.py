"""The model card of the compact planner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from mmedagent.networks.glance import GLANCE_SIZE, WEIGHTS, GlanceConfig
from mmedagent.networks.planner_checkpoint import PlannerConfig
from mmedagent.networks.planner_net import OTHER
from mmedagent.training.instructions.ask_files import all_asks, other_tools
from mmedagent.training.planner_evaluation import Scores

_CARD = """# The compact planner, {version}

Reads an ask about a medical image and plans tool calls. MiniLM (all-MiniLM-L6-v2, read from its package and never
copied, sha256 `{minilm}`) with LoRA r = {r}, alpha = {alpha:g}; heads for the parts of an ask, their outcomes, the task
of a classification and the words to copy. `model.safetensors` has the sha256 `{sha256}`.

{tower}

## Data

{asks} hand-written asks and the examples of the seven tool cards ({shares}),
divided by the hash of their wording, so that no wording is on two sides. Slots are filled from lists and, in more than
half of the cases, with invented names. {other} of the asks want one of {others} tools that the planner does not
know, and are divided by that tool. The image tower has seen phantoms only. No real image and no patient data.
The phrasings that questions about the image are compared with are in `model_worker/compact/questions.toml`.

## Training

    {command}
    python -m mmedagent.training.glance --pool build/pool --out models/planner
    python -m mmedagent.training.glance_normal models/planner

## Figures

On wordings that were not trained on, with the checkpoint as shipped:

| examples | number | outcomes | tools | copies | whole plan | answered | tools of those |
|---|---|---|---|---|---|---|---|
{rows}

Shares of examples of which every part is right; "tools" takes answers in words (a greeting, thanks) as one. Below a
confidence of {threshold:.2f} the planner asks back instead of acting; "answered" is the share above it.

{accuracies}

Most frequent confusions:

{confusions}

## Decisions

"Is there an X?" about the image is answered by grounding and not by a look at the image, because only a tool's result
may carry the claim; a question about whether anything is abnormal is a classification. A look at the image answers
where that tool is not registered, where the ask wants no tool or only a glance, and where the planner would ask back
although the question is a plain one about the image. A look says what it is sure of (a probability of at least 75%),
and otherwise that it cannot tell. A name is segmented by name, a place by segmentation, also where both are given.
Diseases in general are looked up in the handbook. What only a tool could do that the planner does not know is said to
be so, and not done with the nearest tool. In training these tools were told apart as outcomes of their own, so that the
encoder keeps what heads of tools need that are added later.

## Limits

The asks are all in English. They are read up to 128 tokens; coordinates anywhere in the text are read by
a strict parser. The image tower is trained on synthetic images, and what it says is worded as an impression.
Demonstration weights, for research: not a medical device.
"""


def model_card(
    config: PlannerConfig, sha256: str, command: str, measured: Mapping[str, Scores], glance: GlanceConfig | None
) -> str:
    """The card as Markdown, with every figure from `measured` and the two configurations."""
    asks = all_asks()
    shares = Counter[str](ask.share for ask in asks)
    confusions = Counter[str]()
    for scores in measured.values():
        confusions.update(dict(scores.confusions))
    rows = "\n".join(
        f"| {name} | {one.asks} | {one.outcomes:.1%} | {one.tools:.1%} | {one.spans:.1%} | {one.plans:.1%} "
        f"| {one.answered:.1%} | {one.answered_right:.1%} |"
        for name, one in measured.items()
    )
    return _CARD.format(
        version=config.version,
        minilm=config.minilm_sha256,
        r=config.lora.r,
        alpha=config.lora.alpha,
        sha256=sha256,
        tower=_tower(glance),
        accuracies=_accuracies(glance),
        asks=len(asks),
        other=sum(ask.parts[0].outcome == OTHER for ask in asks),
        others=len(other_tools()),
        shares=", ".join(f"{count} {share}" for share, count in shares.items()),
        command=command,
        rows=rows,
        threshold=config.threshold,
        confusions="\n".join(f"- {pair} ({count})" for pair, count in confusions.most_common(6)) or "none",
    )


def _tower(glance: GlanceConfig | None) -> str:
    if glance is None:
        return "There is no image tower, so the planner does not look at images."
    counts = ", ".join(f"{len(names)} of {head}" for head, names in glance.names.items())
    return (
        f"The image tower (`{WEIGHTS}`, sha256 `{glance.sha256}`) looks at {GLANCE_SIZE} x {GLANCE_SIZE} pixels for\n"
        f"questions that need no tool. Names that it knows: {counts}."
    )


def _accuracies(glance: GlanceConfig | None) -> str:
    if glance is None:
        return "The image tower is not there, so it has no figures."
    rows = "\n".join(f"| {head} | {glance.accuracies[head]:.1%} |" for head in glance.names)
    shares = [
        f"{key.split(' ', 1)[1]} {glance.accuracies[key]:.0%}" for key in glance.accuracies if key not in glance.names
    ]
    normal = f"\n\nOf images in which no finding stands out, these have none: {', '.join(shares)}." if shares else ""
    return (
        "Image tower on varied views of held-out phantoms (of structures, findings and sides the share of yes or no\n"
        f"that is right):\n\n| head | accuracy |\n|---|---|\n{rows}{normal}"
    )
