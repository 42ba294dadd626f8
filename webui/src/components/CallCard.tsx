import { useEffect, useState } from "react";
import { canAsk, toolTitle } from "../state/app";
import type { Overlay } from "../state/overlays";
import type { Call, Turn } from "../state/turns";
import { describeArguments, percent, seconds } from "../state/words";
import { useApp, useAppState } from "../view/context";
import { CallDetails } from "./CallDetails";
import { CallResult } from "./CallResult";
import { Icon } from "./Icon";
import { RerunForm } from "./RerunForm";

const elementId = (turn: Turn, number: number): string => `${turn.id}-call-${number}`;

export function focusCall(turn: Turn, number: number): void {
  const card = document.getElementById(elementId(turn, number));
  card?.scrollIntoView({ block: "nearest", behavior: "smooth" });
  card?.focus({ preventScroll: true });
}

const STATES = { running: "Running", done: "Done", failed: "Failed", skipped: "Not run", stopped: "Stopped" } as const;

interface CallProps {
  call: Call;
  turn: Turn;
  /** Those of this call. */
  overlays: readonly Overlay[];
}

/** One tool call, from the moment it starts. */
export function CallCard({ call, turn, overlays }: CallProps) {
  const title = useAppState((state) => toolTitle(state, call.tool));
  const lit = useAppState((state) => state.highlighted?.callId === call.id);
  const label = call.output?.provenance.label ?? "";
  return (
    <section
      className={`call ${call.state}${lit ? " lit" : ""}`}
      id={elementId(turn, call.number)}
      tabIndex={-1}
      aria-label={`Tool ${call.number}: ${title}`}
    >
      <header>
        <span className="call-number">{call.number}</span>
        <h3>{title}</h3>
        {turn.reused.includes(call.id) && <span className="badge">Reused</span>}
        <span className="call-state">
          {call.state === "running" && <span className="spinner" aria-hidden="true" />}
          {STATES[call.state]} <Elapsed call={call} />
        </span>
      </header>
      <Parameters call={call} />
      {call.state === "running" && call.progress !== null && <ProgressLine call={call} />}
      {call.error !== null && <Trouble call={call} />}
      {call.output !== null && <CallResult callId={call.id} data={call.output.data} overlays={overlays} />}
      {label !== "" && <p className="weights">{label}</p>}
      <CallFoot call={call} turn={turn} overlays={overlays} />
      {call.output !== null && <CallDetails call={call} output={call.output} />}
    </section>
  );
}

function Parameters({ call }: { call: Call }) {
  const parameters = describeArguments(call.arguments);
  if (parameters.length === 0) return null;
  return (
    <dl className="parameters">
      {parameters.map(({ name, value }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function ProgressLine({ call: { progress } }: { call: Call }) {
  const { fraction, text } = progress ?? { fraction: null, text: "" };
  return (
    <div className="call-progress">
      <progress aria-label="Progress of the tool" max={1} {...(fraction === null ? {} : { value: fraction })} />
      <span>
        {text} {fraction !== null && percent(fraction)}
      </span>
    </div>
  );
}

/** What went wrong, in the server's words, and what a person can do about it. */
function Trouble({ call }: { call: Call }) {
  return (
    <p className="call-error">
      {call.error}{" "}
      <span className="advice">
        {call.state === "skipped"
          ? "Change the call that it depends on, and run that again."
          : "Run it again, with other parameters if you like; the workers page shows whether the tool is up."}
      </span>
    </p>
  );
}

function CallFoot({ call, turn, overlays }: CallProps) {
  const { actions } = useApp();
  const idle = useAppState(canAsk);
  const card = useAppState((state) => state.tools[call.tool]);
  const [editing, setEditing] = useState(false);
  const { responseId } = turn;
  const again = turn.state === "done" && responseId !== null && card !== undefined && call.state !== "skipped";
  if (overlays.length === 0 && !again) return null;
  if (editing && again) {
    return <RerunForm call={call} responseId={responseId} card={card} onEnd={() => setEditing(false)} />;
  }
  return (
    <div className="call-foot">
      {overlays.length > 0 && (
        <button type="button" className="link-button" onClick={() => actions.openInViewer(turn, call.id)}>
          <Icon name="eye" /> Open in viewer
        </button>
      )}
      {again && (
        <button type="button" className="link-button" disabled={!idle} onClick={() => setEditing(true)}>
          <Icon name="again" /> Run again with other parameters
        </button>
      )}
    </div>
  );
}

/** Seconds since the start, ten times a second, until the call ends. */
function Elapsed({ call }: { call: Call }) {
  const [now, setNow] = useState(() => Date.now());
  const running = call.state === "running";
  useEffect(() => {
    if (!running) return undefined;
    const timer = window.setInterval(() => setNow(Date.now()), 100);
    return () => window.clearInterval(timer);
  }, [running]);
  if (running && call.startedAt !== null) {
    return <span className="elapsed">{seconds(Math.max(0, now - call.startedAt) / 1000)}</span>;
  }
  return call.seconds === null ? null : <span className="elapsed">{seconds(call.seconds)}</span>;
}
