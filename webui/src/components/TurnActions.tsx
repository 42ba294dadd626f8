import { useState } from "react";
import { canAsk } from "../state/app";
import type { Turn } from "../state/turns";
import { useApp, useAppState } from "../view/context";
import { ExportMenu } from "./ExportMenu";
import { Icon } from "./Icon";
import { Waterfall } from "./Waterfall";

/** What can be done with a turn that has ended. */
export function TurnActions({ turn }: { turn: Turn }) {
  const { actions } = useApp();
  const idle = useAppState(canAsk);
  const [timeline, setTimeline] = useState(false);
  const { responseId } = turn;
  const answer = turn.steps.find((step) => step.kind === "answer");
  return (
    <>
      <div className="turn-actions">
        {turn.state === "done" && (
          <button type="button" className="quiet-button" disabled={!idle} onClick={() => void actions.regenerate(turn)}>
            <Icon name="again" /> Regenerate
          </button>
        )}
        {answer !== undefined && (
          <button
            type="button"
            className="quiet-button"
            onClick={() => void navigator.clipboard.writeText(answer.text)}
          >
            <Icon name="copy" /> Copy
          </button>
        )}
        {turn.state === "done" && responseId !== null && (
          <button type="button" className="quiet-button" onClick={() => void actions.openReport(responseId)}>
            <Icon name="report" /> Report
          </button>
        )}
        {responseId !== null && <ExportMenu turn={turn} />}
        <button type="button" className="quiet-button" aria-expanded={timeline} onClick={() => setTimeline(!timeline)}>
          <Icon name="clock" /> Timeline
        </button>
      </div>
      {timeline && <Waterfall turn={turn} />}
    </>
  );
}
