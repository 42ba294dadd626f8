import { useMemo, useState, type FocusEvent, type KeyboardEvent, type MouseEvent, type SyntheticEvent } from "react";
import { callsOf, type Answer as AnswerStep, type Turn } from "../state/turns";
import { useApp } from "../view/context";
import { renderMarkdown } from "../view/markdown";
import { focusCall } from "./CallCard";
import { ClaimCard, type Place } from "./ClaimCard";

interface AnswerProps {
  answer: AnswerStep;
  turn: Turn;
  /** How many calls the turn has; the answer cites them by their numbers. */
  calls: number;
}

interface Shown extends Place {
  claim: number;
}

/** The answer, with its claims: each tells where it comes from when pointed at, and shows it when pressed. */
export function Answer({ answer, turn, calls }: AnswerProps) {
  const { actions } = useApp();
  const { text, claims } = answer;
  const html = useMemo(() => ({ __html: renderMarkdown(text, calls, claims) }), [text, calls, claims]);
  const [shown, setShown] = useState<Shown | null>(null);

  const show = (event: MouseEvent | FocusEvent): void => {
    const element = claimAt(event);
    setShown(element === null ? null : { claim: Number(element.dataset["claim"]), ...placeOf(element) });
  };
  const press = (event: MouseEvent | KeyboardEvent): void => {
    const link = closest(event, "a[data-call]");
    const element = claimAt(event);
    if (link === null && element === null) return;
    event.preventDefault();
    if (link !== null) focusCall(turn, Number(link.dataset["call"]));
    const claim = claims[Number(element?.dataset["claim"])];
    if (claim?.call_id == null) return;
    const call = callsOf(turn).find((each) => each.id === claim.call_id);
    const drawn = actions.showEvidence(turn, claim.call_id, claim.field);
    if (!drawn && call !== undefined) focusCall(turn, call.number);
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "Enter" || event.key === " ") press(event);
    if (event.key !== "Escape" || shown === null) return;
    event.preventDefault();
    setShown(null);
  };
  const claim = shown === null ? undefined : claims[shown.claim];

  return (
    <div className="answer-box">
      <div
        className="answer"
        onClick={press}
        onKeyDown={onKey}
        onMouseOver={show}
        onMouseLeave={() => setShown(null)}
        onFocus={show}
        onBlur={() => setShown(null)}
        dangerouslySetInnerHTML={html}
      />
      {shown !== null && claim !== undefined && <ClaimCard claim={claim} place={shown} />}
    </div>
  );
}

function closest(event: SyntheticEvent, selector: string): HTMLElement | null {
  return event.target instanceof Element ? event.target.closest<HTMLElement>(selector) : null;
}

const claimAt = (event: SyntheticEvent): HTMLElement | null => closest(event, "[data-claim]");

/** Below the claim, inside the box around the answer. */
function placeOf(element: HTMLElement): Place {
  const [own, outer] = [element.getBoundingClientRect(), element.closest(".answer-box")?.getBoundingClientRect()];
  return { left: own.left - (outer?.left ?? 0), top: own.bottom - (outer?.top ?? 0) };
}
