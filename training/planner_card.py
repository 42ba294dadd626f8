"""The model card of the compact planner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from mmedagent.networks.planner_checkpoint import PlannerConfig
from mmedagent.networks.planner_glance import GLANCE_SIZE
from mmedagent.training.instructions.ask_files import all_asks
from mmedagent.training.planner_evaluation import Scores

_CARD = """# The compact planner, {version}

Reads an ask about a medical image and plans tool calls. MiniLM (all-MiniLM-L6-v2, read from its package and never
copied, sha256 `{minilm}`) with LoRA r = {r}, alpha = {alpha:g}; heads for the parts of an ask, their outcomes, the task
of a classification and the words to copy; an image tower of {glance} x {glance} pixels for a glance at the image.
`model.safetensors` has the sha256 `{sha256}`.

## Data

{asks} hand-written asks and the examples of the seven tool cards ({shares}),
divided by the hash of their wording, so that no wording is on two sides. Slots are filled from lists and, in more than
half of the cases, with invented names. The image tower has seen phantoms only. No real image and no patient data.

## Training

    {command}

## Figures

On wordings that were not trained on, with the checkpoint as shipped:

| examples | number | outcomes | tools | copies | whole plan | answered | tools of those |
|---|---|---|---|---|---|---|---|
{rows}

Shares of examples of which every part is right; "tools" takes answers in words (a greeting, thanks) as one. Below a
confidence of {threshold:.2f} the planner asks back instead of acting; "answered" is the share above it.

Image tower on held-out phantoms: modality {modality:.1%}, body part {anatomy:.1%}.

Most frequent confusions:

{confusions}

## Decisions

"Is there an X?" about the image is answered by grounding and not by a look at the image, because only a tool's result
may carry the claim; a question about whether anything is abnormal is a classification. A name is segmented by name, a
place by segmentation, also where both are given. Diseases in general are looked up in the handbook.

## Limits

One author wrote the asks, all in English. Asks are read up to 128 tokens; coordinates anywhere in the text are read by
a strict parser. The image tower is trained on synthetic images, and what it says is worded as an impression.
Demonstration weights, for research: not a medical device.
"""


def model_card(config: PlannerConfig, sha256: str, command: str, measured: Mapping[str, Scores]) -> str:
    """The card as Markdown, with every figure from `measured` and `config`."""
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
        glance=GLANCE_SIZE,
        sha256=sha256,
        asks=len(asks),
        shares=", ".join(f"{count} {share}" for share, count in shares.items()),
        command=command,
        rows=rows,
        threshold=config.threshold,
        modality=config.glance_modality_accuracy,
        anatomy=config.glance_anatomy_accuracy,
        confusions="\n".join(f"- {pair} ({count})" for pair, count in confusions.most_common(6)) or "none",
    )
