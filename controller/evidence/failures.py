"""Calls that gave no result are told of in every answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from mmedagent.controller.evidence.sources import Place, Source
from mmedagent.controller.evidence.texts import Answer, Span
from mmedagent.protocol.claims import Claim
from mmedagent.protocol.invocation import ToolFailure, ToolResult, ToolSkipped
from mmedagent.protocol.types import MAX_TEXT

MAX_REASON = 200
MIN_QUOTED = 12
"""Shorter reasons may be in an answer by chance."""

_FAILURE = re.compile(
    r"\b(?:fail(?:ed|s|ure)?|did(?: not|n['’]t) (?:answer|respond|run|work|succeed|finish)"
    r"|(?:was|were)(?: not|n['’]t) (?:run|executed|reached|available|carried out)|(?:not |un)available"
    r"|could not be (?:run|reached|used|carried out)|skipped|timed out|took too long|crashed|broke down"
    r"|went wrong|(?:gave|returned|reported|ran into) an error)\b",
    re.IGNORECASE,
)


def disclosed(text: str, sources: Sequence[Source]) -> str:
    """The answer, with a sentence for each call without result of which it does not tell. At most `MAX_TEXT` long."""
    answer = Answer(text)
    missing = [sentence_of(one) for one in _without_result(sources) if _disclosure(answer, one) is None]
    if not missing:
        return text
    added = " ".join(dict.fromkeys(missing))
    room = MAX_TEXT - len(added) - 3
    kept = text if len(text) <= room else f"{text[:room]}…"
    return f"{kept}\n\n{added}" if kept else added


def failure_claims(answer: Answer, sources: Sequence[Source]) -> Iterator[Claim]:
    """Where the answer tells of each call without result; of two that share a sentence, only the first."""
    taken: set[int] = set()
    for source in _without_result(sources):
        span = _disclosure(answer, source)
        if span is not None and span.start not in taken:
            taken.add(span.start)
            yield source.claim(Place(span.start, span.end, answer.text[span.start : span.end]), "failure", None)


def sentence_of(source: Source) -> str:
    """The fixed words for a call without result."""
    verb = "was not run" if isinstance(source.outcome, ToolSkipped) else "failed"
    return f"The {_spoken(source.outcome.tool)} tool {verb}: {_reason(source)}, so there is no result from it."


def _without_result(sources: Sequence[Source]) -> list[Source]:
    return [source for source in sources if not isinstance(source.outcome, ToolResult)]


def _disclosure(answer: Answer, source: Source) -> Span | None:
    """The fixed words, the reason as it was given, or words of failure, in a sentence that names or cites the call."""
    quoted = [re.escape(words) for words in (sentence_of(source), _reason(source)) if len(words) >= MIN_QUOTED]
    for pattern in (*map(re.compile, quoted), _FAILURE):
        seen: set[int] = set()
        for match in pattern.finditer(answer.text):
            sentence = answer.sentence_at(match.start())
            if sentence.start not in seen and _is_about(answer, sentence, source):
                return Span(*match.span())
            seen.add(sentence.start)
    return None


def _is_about(answer: Answer, sentence: Span, source: Source) -> bool:
    cited = {one.number for one in answer.markers_in(sentence)}
    if cited:
        return source.number in cited
    names = [source.outcome.tool, _spoken(source.outcome.tool)]
    if source.card is not None:
        names += [source.card.title, *source.card.aliases]
    return _any_of(tuple(names)).search(answer.text, sentence.start, sentence.end) is not None


@lru_cache(maxsize=256)
def _any_of(names: tuple[str, ...]) -> re.Pattern[str]:
    words = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True) if name.strip())
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)


def _reason(source: Source) -> str:
    outcome = source.outcome
    told = outcome.message if isinstance(outcome, ToolFailure) else ""
    told = outcome.reason if isinstance(outcome, ToolSkipped) else told
    words = " ".join(told.split()).rstrip(".!") or "no reason was given"
    return words if len(words) <= MAX_REASON else f"{words[:MAX_REASON]}…"


def _spoken(tool: str) -> str:
    return tool.replace("_", " ")
