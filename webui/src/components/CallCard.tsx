import { useEffect, useState } from "react";
import { toolTitle } from "../state/app";
import type { Overlay } from "../state/overlays";
import type { Call } from "../state/turns";
import { describeArguments, seconds } from "../state/words";
import { useAppState } from "../view/context";
import { CallDetails } from "./CallDetails";
import { CallResult } from "./CallResult";

export const callElementId = (turnId: string, number: number): string => `${turnId}-call-${number}`;

const STATES = { running: "Running", done: "Done", failed: "Failed", skipped: "Not run", stopped: "Stopped" } as const;

/** One tool call, from the moment it starts. `overlays` are those of this call. */
export function CallCard({ call, turnId, overlays }: { call: Call; turnId: string; overlays: readonly Overlay[] }) {
  const title = useAppState((state) => toolTitle(state, call.tool));
  const parameters = describeArguments(call.arguments);
  const label = call.output?.provenance.label ?? "";
  return (
    <section
      className={`call ${call.state}`}
      id={callElementId(turnId, call.number)}
      tabIndex={-1}
      aria-label={`Tool ${call.number}: ${title}`}
    >
      <header>
        <span className="call-number">{call.number}</span>
        <h3>{title}</h3>
        <span className="call-state">
          {call.state === "running" && <span className="spinner" aria-hidden="true" />}
          {STATES[call.state]} <Elapsed call={call} />
        </span>
      </header>
      {parameters.length > 0 && (
        <dl className="parameters">
          {parameters.map(({ name, value }) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
      {call.error !== null && <p className="call-error">{call.error}</p>}
      {call.output !== null && <CallResult callId={call.id} data={call.output.data} overlays={overlays} />}
      {label !== "" && <p className="weights">{label}</p>}
      {call.output !== null && <CallDetails call={call} output={call.output} />}
    </section>
  );
}

/** Seconds since the start, ten times a second, until the call ends. */
function Elapsed({ call }: { call: Call }) {
  const [now, setNow] = useState(() => performance.now());
  const running = call.state === "running";
  useEffect(() => {
    if (!running) return undefined;
    const timer = window.setInterval(() => setNow(performance.now()), 100);
    return () => window.clearInterval(timer);
  }, [running]);
  if (running) return <span className="elapsed">{seconds(Math.max(0, now - call.startedAt) / 1000)}</span>;
  return call.seconds === null ? null : <span className="elapsed">{seconds(call.seconds)}</span>;
}
