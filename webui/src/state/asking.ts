/** Sending a message and following its turn to the end. */

import { ApiError } from "../api/http";
import type { JsonObject, Part, StreamEvent } from "../api/types";
import { canSend, isRunning, NEW, toolTitle, turnsOf, type AppStore } from "./app";
import { withInputBox } from "./boxes";
import { report, type ActionContext } from "./context";
import { applyEvent, callsOf, endTurn, startTurn, type Turn } from "./turns";
import { marksOf } from "./viewing";

const LOST = "The connection ended before the answer was complete. Ask again to retry.";
const CALL_WORDS = { running: "started", done: "finished", failed: "failed", skipped: "not run", stopped: "stopped" };

/** `afterwards` runs when a turn has ended, unless it failed: then the failure is what there is to say. */
export function askingActions(context: ActionContext, afterwards: () => Promise<void>) {
  const { store, client } = context;
  const running = new Map<string, AbortController>();
  let count = 0;

  async function send(): Promise<void> {
    const { text, fileId, box, current, model } = store.get();
    if (!canSend(store.get()) || model === null) return;
    count += 1;
    const points = marksOf(store.get())?.points ?? [];
    const turn = { ...startTurn(`turn-${count}`, text.trim(), fileId === null ? null : box, fileId), points };
    store.set({ text: "", box: null, marks: null, spoken: "Sent." });
    await run(turn, current, (signal) => ask(context, turn, model, signal));
  }

  /** One call of a turn with other parameters; what does not depend on it is kept. */
  async function rerun(responseId: string, callId: string, parameters: JsonObject): Promise<void> {
    const { current } = store.get();
    const original = turnsOf(store.get()).find((turn) => turn.responseId === responseId);
    if (original === undefined || isRunning(store.get())) return;
    count += 1;
    const { text, box, fileId } = original;
    const turn = { ...startTurn(`turn-${count}`, text, box, fileId), rerunOf: responseId };
    store.set({ spoken: "Running again." });
    await run(turn, current, (signal) => client.rerun(responseId, callId, parameters, signal));
  }

  async function run(turn: Turn, key: string, open: (signal: AbortSignal) => AsyncGenerator<StreamEvent>): Promise<void> {
    const controller = new AbortController();
    running.set(turn.id, controller);
    store.set((state) => ({
      notice: null,
      highlighted: null,
      threads: { ...state.threads, [key]: [...turnsOf(state), turn] },
    }));
    try {
      await follow(context, turn, open(controller.signal));
    } catch (error) {
      endWith(context, turn.id, error, controller.signal.aborted);
    } finally {
      running.delete(turn.id);
    }
    if (findTurn(store, turn.id)?.state !== "failed") await afterwards();
  }

  function stop(): void {
    const turn = turnsOf(store.get()).at(-1);
    if (turn !== undefined) running.get(turn.id)?.abort();
  }

  return { send, rerun, stop };
}

async function* ask(
  context: ActionContext,
  turn: Turn,
  model: string,
  signal: AbortSignal,
): AsyncGenerator<StreamEvent> {
  const conversation = await conversationOfThread(context, turn.text);
  const content: Part[] = [{ type: "input_text", text: withInputBox(turn.text, turn.box, turn.points) }];
  if (turn.fileId !== null) content.push({ type: "input_image", file_id: turn.fileId });
  yield* context.client.respond(model, conversation, { role: "user", content }, signal);
}

async function follow({ store }: ActionContext, turn: Turn, events: AsyncGenerator<StreamEvent>): Promise<void> {
  for await (const event of events) {
    changeTurn(store, turn.id, (now) => applyEvent(now, event, performance.now()));
    announce(store, turn.id, event);
  }
  if (findTurn(store, turn.id)?.state === "running") throw new ApiError(LOST, 0);
}

/** The conversation of the current thread; a new thread gets one from the server first, listed as `title`. */
async function conversationOfThread({ store, client }: ActionContext, title: string): Promise<string> {
  const { current } = store.get();
  if (current !== NEW) return current;
  const created = await client.createConversation();
  store.set((state) => ({
    conversations: [{ ...created, title }, ...state.conversations],
    current: state.current === NEW ? created.id : state.current,
    threads: { ...state.threads, [created.id]: state.threads[NEW] ?? [], [NEW]: [] },
  }));
  return created.id;
}

function endWith(context: ActionContext, id: string, error: unknown, aborted: boolean): void {
  if (aborted) {
    changeTurn(context.store, id, (turn) => endTurn(turn, "stopped"));
    return;
  }
  const failure = error instanceof ApiError ? error : new ApiError(LOST, 0);
  if (failure.status === 401) report(context, failure);
  changeTurn(context.store, id, (turn) => endTurn(turn, "failed", failure.message, failure.correlationId));
}

const findTurn = (store: AppStore, id: string): Turn | undefined =>
  Object.values(store.get().threads)
    .flat()
    .find((turn) => turn.id === id);

/** The turn is looked for in every thread: a new conversation gets its id while its first turn is on the way. */
function changeTurn(store: AppStore, id: string, change: (turn: Turn) => Turn): void {
  store.set(({ threads }) => {
    const found = Object.entries(threads).find(([, turns]) => turns.some((turn) => turn.id === id));
    if (found === undefined) return {};
    const [key, turns] = found;
    return { threads: { ...threads, [key]: turns.map((turn) => (turn.id === id ? change(turn) : turn)) } };
  });
}

/** Milestones for screen readers; single words of a stream would drown everything else. */
function announce(store: AppStore, turnId: string, event: StreamEvent): void {
  if (event.type === "response.failed") store.set({ spoken: "The turn failed." });
  if (event.type !== "response.output_item.added" && event.type !== "response.output_item.done") return;
  const turn = findTurn(store, turnId);
  const { item } = event;
  if (turn === undefined || item.type === "reasoning") return;
  if (item.type === "mcp_call") {
    const call = callsOf(turn).find((each) => each.id === item.id);
    const title = toolTitle(store.get(), item.name);
    if (call !== undefined) store.set({ spoken: `${title}: ${CALL_WORDS[call.state]}.` });
  } else if (event.type === "response.output_item.done") {
    const answer = turn.steps.find((step) => step.id === item.id);
    if (answer?.kind === "answer") store.set({ spoken: `Answer: ${answer.text}` });
  }
}
