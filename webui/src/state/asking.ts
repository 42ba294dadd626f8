/** Asking, asking again in another way, and stopping. */

import type { JsonObject, Part, StreamEvent } from "../api/types";
import { allTurnsOf, canAsk, canSend, NEW, turnsOf, type AppState, type AppStore } from "./app";
import { withInputBoxes } from "./boxes";
import { report, type ActionContext } from "./context";
import { followTurn } from "./following";
import { changeTurn, findTurn } from "./threads";
import { endTurn, startTurn, type Question, type Turn } from "./turns";
import { marksOf, sliceToSend } from "./viewing";

/** `afterwards` runs when a turn has ended, unless it failed: then the failure is what there is to say. */
export function askingActions(context: ActionContext, afterwards: () => Promise<void>) {
  const { store, client } = context;
  const running = new Map<string, AbortController>();
  let count = 0;

  /** What the composer holds, after the newest turn that is shown. */
  async function send(): Promise<void> {
    const state = store.get();
    if (!canSend(state)) return;
    const { text, fileId, boxes } = state;
    const points = marksOf(state)?.points ?? [];
    const slice = sliceToSend(state);
    store.set({ text: "", boxes: [], marks: null });
    await ask({ text: text.trim(), boxes, points, fileId, slice, parent: turnsOf(state).at(-1)?.responseId ?? null });
  }

  /** The message of a turn in other words, as a branch beside it. */
  const edit = (turn: Turn, text: string): Promise<void> => ask({ ...questionOf(turn), text: text.trim() });

  /** The same message once more, as a branch beside the turn. */
  const regenerate = (turn: Turn): Promise<void> => ask(questionOf(turn));

  async function ask(question: Question): Promise<void> {
    const { model } = store.get();
    if (model === null || !canAsk(store.get())) return;
    await run(begin(question, null), async function* (signal): AsyncGenerator<StreamEvent> {
      const conversation = await conversationOfThread(context, question.text);
      const content: Part[] = [
        { type: "input_text", text: withInputBoxes(question.text, question.boxes, question.points) },
      ];
      const { fileId, slice } = question;
      if (fileId !== null) content.push({ type: "input_image", file_id: fileId, ...(slice == null ? {} : { slice }) });
      const { parent } = question;
      yield* client.ask({ model, conversation, parent, content, tools: toolsOf(store.get()) }, signal);
    });
  }

  /** One call of a turn with other parameters; what does not depend on it is kept. A branch beside the turn. */
  async function rerun(responseId: string, callId: string, parameters: JsonObject): Promise<void> {
    const original = allTurnsOf(store.get()).find((turn) => turn.responseId === responseId);
    if (original === undefined || !canAsk(store.get())) return;
    const turn = begin(questionOf(original), responseId);
    await run(turn, (signal) => client.rerun(responseId, callId, parameters, signal));
  }

  /** A turn that was running when the page was opened, from its first event. */
  const resume = (turn: Turn): Promise<void> =>
    run(turn, (signal) => client.follow(turn.responseId ?? turn.id, null, signal));

  function begin(question: Question, rerunOf: string | null): Turn {
    count += 1;
    const turn = startTurn(`turn-${count}`, question, Date.now(), rerunOf);
    store.set((state) => ({
      notice: null,
      highlighted: null,
      spoken: rerunOf === null ? "Sent." : "Running again.",
      chosen: { ...state.chosen, [turn.parent ?? state.current]: turn.id },
      threads: { ...state.threads, [state.current]: [...allTurnsOf(state), turn] },
    }));
    return turn;
  }

  async function run(turn: Turn, open: (signal: AbortSignal) => AsyncGenerator<StreamEvent>): Promise<void> {
    const controller = new AbortController();
    running.set(turn.id, controller);
    await followTurn(context, turn.id, open(controller.signal), controller.signal);
    running.delete(turn.id);
    if (findTurn(store, turn.id)?.state !== "failed") await afterwards();
  }

  /** The server cancels the turn down to its workers, as soon as it has named it. */
  async function stop(): Promise<void> {
    const turn = turnsOf(store.get()).at(-1);
    if (turn?.state !== "running") return;
    store.set({ spoken: "Stopping." });
    try {
      const responseId = await nameOf(store, turn.id);
      if (responseId !== null) await client.cancel(responseId);
      changeTurn(store, turn.id, (now) => (now.state === "running" ? endTurn(now, "stopped", Date.now()) : now));
      running.get(turn.id)?.abort();
    } catch (error) {
      report(context, error);
    }
  }

  return { send, edit, regenerate, rerun, resume, stop };
}

/** The id of a turn's response once it is known, null when the turn ended without one. */
function nameOf(store: AppStore, turnId: string): Promise<string | null> {
  return new Promise((resolve) => {
    let leave = (): void => undefined;
    const look = (): void => {
      const turn = findTurn(store, turnId);
      if (turn?.state === "running" && turn.responseId === null) return;
      leave();
      resolve(turn?.state === "running" ? turn.responseId : null);
    };
    leave = store.subscribe(look);
    look();
  });
}

const questionOf = ({ text, boxes, points = [], fileId, slice = null, parent }: Turn): Question => ({
  text,
  boxes,
  points,
  fileId,
  slice,
  parent,
});

/** The tools that a turn may use, or null for all. */
function toolsOf({ tools, disabledTools }: AppState): string[] | null {
  const allowed = Object.keys(tools).filter((name) => !disabledTools.has(name));
  return allowed.length === Object.keys(tools).length ? null : allowed;
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
