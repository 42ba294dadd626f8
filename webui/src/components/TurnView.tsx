import { memo } from "react";
import { overlaysOf } from "../state/overlays";
import { callsOf, type Step, type Turn } from "../state/turns";
import { useApp } from "../view/context";
import { Answer } from "./Answer";
import { CallCard } from "./CallCard";
import { QuestionView } from "./QuestionView";
import { TurnActions } from "./TurnActions";

/** `branch` of `branches` is this turn's place among those that follow the same turn.
 *
 * `newImage` is whether the turn's image differs from the one of the turn before.
 */
export interface TurnProps {
  turn: Turn;
  newImage: boolean;
  branch: number;
  branches: number;
}

export const TurnView = memo(function TurnView(props: TurnProps) {
  const { turn } = props;
  const running = turn.state === "running";
  return (
    <article className="turn" aria-busy={running} aria-label={turn.text}>
      <QuestionView {...props} />
      <div className="steps">
        {turn.steps.map((step) => (
          <StepView key={step.id} step={step} turn={turn} />
        ))}
        {running && turn.steps.length === 0 && <p className="waiting">Thinking…</p>}
        <TurnEnd turn={turn} />
        {!running && <TurnActions turn={turn} />}
      </div>
    </article>
  );
});

function StepView({ step, turn }: { step: Step; turn: Turn }) {
  switch (step.kind) {
    case "thoughts":
      return step.text === "" ? null : (
        <details className="thoughts" open>
          <summary>Thoughts</summary>
          <p>{step.text}</p>
        </details>
      );
    case "call":
      return <CallCard call={step} turn={turn} overlays={overlaysOf(turn).filter((each) => each.callId === step.id)} />;
    case "answer":
      return <Answer answer={step} turn={turn} calls={callsOf(turn).length} />;
  }
}

function TurnEnd({ turn }: { turn: Turn }) {
  const { actions } = useApp();
  const again = (
    <button type="button" className="link-button" onClick={() => void actions.regenerate(turn)}>
      Ask again
    </button>
  );
  if (turn.state === "stopped") return <p className="turn-end">Stopped before the answer was complete. {again}</p>;
  if (turn.failure === null) return null;
  return (
    <p className="turn-end failed" role="alert">
      {turn.failure.message} {again}
      {turn.failure.correlationId !== null && (
        <span className="reference">Reference: {turn.failure.correlationId}</span>
      )}
    </p>
  );
}
