/** Following the events of a turn to its end, over as many connections as it takes. */

import { ApiError } from "../api/http";
import type { StreamEvent } from "../api/types";
import { toolTitle, type AppStore } from "./app";
import { report, type ActionContext } from "./context";
import { changeTurn, findTurn } from "./threads";
import { applyEvent, callsOf, endTurn } from "./turns";

/** Text is shown ten times a second at most: a long answer is laid out anew each time. */
const TEXT_MS = 100;
const RETRY_MS = [250, 500, 1000, 2000, 4000, 8000] as const;
const LOST = "The connection to the server was lost. Reload the page to see how the turn went on.";
const CALL_WORDS = { running: "started", done: "finished", failed: "failed", skipped: "not run", stopped: "stopped" };

type Events = AsyncGenerator<StreamEvent>;

/** Applies the events of `first`, and of new streams from where it broke off, until the turn has ended.
 *
 * A turn that cannot be followed any further ends as failed; one whose `signal` is aborted as stopped.
 */
export async function followTurn(
  context: ActionContext,
  id: string,
  first: Events,
  signal: AbortSignal,
): Promise<void> {
  const { store, client } = context;
  try {
    let stream = first;
    for (const wait of [...RETRY_MS, null]) {
      const broken = await readOnce(store, id, stream);
      const turn = findTurn(store, id);
      if (turn?.state !== "running") return;
      if (turn.responseId === null || wait === null) throw broken ?? new ApiError(LOST, 0);
      await pause(wait, signal);
      stream = client.follow(turn.responseId, turn.cursor, signal);
    }
  } catch (error) {
    endWith(context, id, error, signal.aborted);
  }
}

/** Gives what broke the stream when a new one may go on, null at its end; throws what the server refused. */
async function readOnce(store: AppStore, id: string, stream: Events): Promise<unknown> {
  const batch = createBatch((events) => {
    changeTurn(store, id, (turn) => events.reduce((now, event) => applyEvent(now, event), turn));
    for (const event of events) announce(store, id, event);
  });
  try {
    for await (const event of stream) batch.push(event);
    return null;
  } catch (error) {
    const refused = error instanceof ApiError && error.status !== 0 && error.status < 500;
    if (refused || (error instanceof DOMException && error.name === "AbortError")) throw error;
    return error;
  } finally {
    batch.flush();
  }
}

/** Text waits a moment for more of it; everything else goes through at once, after what waits. */
export function createBatch(apply: (events: readonly StreamEvent[]) => void) {
  let waiting: StreamEvent[] = [];
  let timer: ReturnType<typeof setTimeout> | null = null;
  function flush(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const events = waiting;
    waiting = [];
    if (events.length > 0) apply(events);
  }
  function push(event: StreamEvent): void {
    waiting.push(event);
    if (!event.type.endsWith(".delta")) flush();
    else timer ??= setTimeout(flush, TEXT_MS);
  }
  return { push, flush };
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    });
  });
}

function endWith(context: ActionContext, id: string, error: unknown, aborted: boolean): void {
  const now = Date.now();
  if (aborted) {
    changeTurn(context.store, id, (turn) => endTurn(turn, "stopped", now));
    return;
  }
  const failure = error instanceof ApiError ? error : new ApiError(LOST, 0);
  if (failure.status === 401) report(context, failure);
  changeTurn(context.store, id, (turn) => endTurn(turn, "failed", now, failure.message, failure.correlationId));
}

/** Milestones for screen readers; single words of a stream would drown everything else. */
function announce(store: AppStore, turnId: string, event: StreamEvent): void {
  if (event.type === "response.failed") store.set({ spoken: "The turn failed." });
  if (event.type !== "response.output_item.added" && event.type !== "response.output_item.done") return;
  const turn = findTurn(store, turnId);
  const { item } = event;
  if (turn === undefined || item.type === "reasoning") return;
  if (item.type === "mcp_call") {
    const call = callsOf(turn).find((each) => item.id.endsWith(each.id));
    const title = toolTitle(store.get(), item.name);
    if (call !== undefined) store.set({ spoken: `${title}: ${CALL_WORDS[call.state]}.` });
  } else if (event.type === "response.output_item.done") {
    const answer = turn.steps.find((step) => step.id === item.id);
    if (answer?.kind === "answer") store.set({ spoken: `Answer: ${answer.text}` });
  }
}
