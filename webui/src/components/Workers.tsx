import type { WorkerInfo } from "../api/types";
import { toolTitle } from "../state/app";
import { useApp, useAppState } from "../view/context";

/** Who is there to work: the planner and the tools, each with its state. */
export function Workers() {
  const { actions } = useApp();
  const workers = useAppState((state) => state.workers);
  if (workers.length === 0) return null;
  const tools = workers.filter((worker) => worker.kind === "tool");
  const ready = tools.filter((worker) => worker.state === "ready").length;
  return (
    <details className="workers" onToggle={(event) => event.currentTarget.open && void actions.refresh()}>
      <summary>
        <span className={ready === tools.length ? "dot ready" : "dot suspect"} />
        {ready} of {tools.length} tools ready
      </summary>
      <ul>
        {workers.map((worker) => (
          <WorkerRow key={worker.worker_id} worker={worker} />
        ))}
      </ul>
    </details>
  );
}

function WorkerRow({ worker }: { worker: WorkerInfo }) {
  const title = useAppState((state) =>
    worker.kind === "planner" ? `Planner: ${worker.name}` : toolTitle(state, worker.name),
  );
  return (
    <li title={worker.label}>
      <span className={`dot ${worker.state}`} />
      <span>
        {title} <small>{worker.version}</small>
        {worker.state === "suspect" && <small> not answering</small>}
      </span>
    </li>
  );
}
