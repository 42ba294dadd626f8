import { memo } from "react";
import { boxText } from "../state/boxes";
import { overlaysOf } from "../state/overlays";
import { callsOf, type Step, type Turn } from "../state/turns";
import { useApp } from "../view/context";
import { Answer } from "./Answer";
import { CallCard } from "./CallCard";
import { Icon } from "./Icon";
import { Thumbnail } from "./Thumbnail";

/** `newImage` is whether the turn's image differs from the one of the turn before. */
export const TurnView = memo(function TurnView({ turn, newImage }: { turn: Turn; newImage: boolean }) {
  const running = turn.state === "running";
  return (
    <article className="turn" aria-busy={running}>
      <UserMessage turn={turn} newImage={newImage} />
      <div className="steps">
        {turn.steps.map((step) => (
          <StepView key={step.id} step={step} turn={turn} />
        ))}
        {running && turn.steps.length === 0 && <p className="waiting">Thinking…</p>}
        <TurnEnd turn={turn} />
      </div>
    </article>
  );
});

function UserMessage({ turn, newImage }: { turn: Turn; newImage: boolean }) {
  const { actions } = useApp();
  const { fileId } = turn;
  return (
    <div className="question" role="group" aria-label="Your message">
      {fileId !== null && newImage && (
        <button
          type="button"
          className="question-image"
          aria-label="Show this image"
          onClick={() => actions.choose(fileId)}
        >
          <Thumbnail fileId={fileId} />
        </button>
      )}
      <p>{turn.text}</p>
      {turn.box !== null && (
        <span className="chip">
          <Icon name="box" /> Box {boxText(turn.box)}
        </span>
      )}
    </div>
  );
}

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
      return (
        <CallCard call={step} turnId={turn.id} overlays={overlaysOf(turn).filter((each) => each.callId === step.id)} />
      );
    case "answer":
      return <Answer text={step.text} turnId={turn.id} calls={callsOf(turn).length} />;
  }
}

function TurnEnd({ turn }: { turn: Turn }) {
  const { actions } = useApp();
  const again = (
    <button type="button" className="link-button" onClick={() => actions.reuse(turn)}>
      Edit and ask again
    </button>
  );
  if (turn.state === "stopped") return <p className="turn-end">No answer was completed. {again}</p>;
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
