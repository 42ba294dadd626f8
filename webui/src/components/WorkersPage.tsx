import { useEffect } from "react";
import type { WorkerInfo } from "../api/types";
import { toolTitle } from "../state/app";
import { memory, moment } from "../state/words";
import { useApp, useAppState } from "../view/context";
import { Icon } from "./Icon";
import { ToolCards } from "./ToolCards";

const REFRESH_MS = 3_000;

/** Every worker with its health and load, and the card of every tool. */
export function WorkersPage() {
  const { actions } = useApp();
  const workers = useAppState((state) => state.workers);
  const ready = useAppState((state) => state.connection === "ready");
  useEffect(() => {
    if (!ready) return undefined;
    void actions.refresh();
    const timer = window.setInterval(() => void actions.refresh(), REFRESH_MS);
    return () => window.clearInterval(timer);
  }, [actions, ready]);
  return (
    <div className="workers-page" tabIndex={0} role="region" aria-labelledby="workers-title">
      <button type="button" className="quiet-button" onClick={() => actions.showPage("chat")}>
        <Icon name="left" /> Back to the chat
      </button>
      <h2 id="workers-title">Workers</h2>
      {workers.length === 0 && <p className="nothing">No worker is registered.</p>}
      <div className="table-frame">
        <table className="workers-table">
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col">State</th>
              <th scope="col">At work</th>
              <th scope="col">Queue</th>
              <th scope="col">Done</th>
              <th scope="col">Failed</th>
              <th scope="col">Memory</th>
              <th scope="col">Since</th>
            </tr>
          </thead>
          <tbody>
            {workers.map((worker) => (
              <WorkerRows key={worker.worker_id} worker={worker} />
            ))}
          </tbody>
        </table>
      </div>
      <ToolCards />
    </div>
  );
}

function WorkerRows({ worker }: { worker: WorkerInfo }) {
  const title = useAppState((state) =>
    worker.kind === "planner" ? `Planner: ${worker.name}` : toolTitle(state, worker.name),
  );
  const working = Math.max(0, worker.outstanding - worker.queued);
  return (
    <>
      <tr>
        <th scope="row">
          {title}
          <small>
            {worker.version}
            {worker.checkpoint_sha256 !== null && ` · checkpoint ${worker.checkpoint_sha256.slice(0, 8)}`}
          </small>
          {worker.label !== "" && <small className="weights">{worker.label}</small>}
        </th>
        <td>
          <span className={`dot ${worker.state}`} />
          {worker.state === "ready" ? "Ready" : "Not answering"}
        </td>
        <td>
          <meter aria-label="Load" min={0} max={worker.concurrency} value={Math.min(working, worker.concurrency)} />
          {working} of {worker.concurrency}
        </td>
        <td>{worker.queued}</td>
        <td>{worker.completed}</td>
        <td>{worker.failed}</td>
        <td>{worker.memory_bytes === null ? "not told" : memory(worker.memory_bytes)}</td>
        <td>{moment(worker.registered_at)}</td>
      </tr>
      {worker.last_errors.length > 0 && (
        <tr className="worker-errors">
          <td colSpan={8}>
            <ul>
              {worker.last_errors.map((error, index) => (
                <li key={index}>
                  <time>{moment(error.at)}</time> {error.message} <small>{error.code}</small>
                </li>
              ))}
            </ul>
          </td>
        </tr>
      )}
    </>
  );
}
