import { expect, test } from "vitest";
import { ApiError, type KeyStore } from "../api/http";
import type { Client } from "../api/client";
import { sample } from "../api/sample";
import type { Item, StreamEvent } from "../api/types";
import { createAppStore, NEW } from "./app";
import { createBatch, followTurn } from "./following";
import { loadPreferences } from "./preferences";
import { findTurn } from "./threads";
import { callsOf, startTurn } from "./turns";

const event = sample<StreamEvent>;
const response = { id: "resp_1", mmedagent: { parent: null, rerun_of: null, reused: [] } };
const message = (text: string) =>
  sample<Item>({ type: "message", id: "m", content: text === "" ? [] : [{ type: "output_text", text }] });
const EVENTS = [
  event({ type: "response.created", response }),
  event({ type: "response.output_item.added", output_index: 0, item: message("") }),
  event({ type: "response.output_text.delta", item_id: "m", delta: "A " }),
  event({ type: "response.output_text.delta", item_id: "m", delta: "CT." }),
  event({ type: "response.output_item.done", output_index: 0, item: message("A CT.") }),
  event({ type: "response.completed", response }),
].map((one, sequence_number) => ({ ...one, sequence_number, at: sequence_number }));

async function* play(events: readonly StreamEvent[], end?: unknown): AsyncGenerator<StreamEvent> {
  yield* events;
  if (end !== undefined) throw end;
}

/** A page with one running turn, and a server whose later streams are those of `follow`. */
function page(follow: (after: number | null) => AsyncGenerator<StreamEvent>) {
  const store = createAppStore(loadPreferences({ getItem: () => null }));
  const turn = startTurn("t", { text: "What?", boxes: [], fileId: null, parent: null });
  store.set({ threads: { [NEW]: [turn] } });
  const asked: (number | null)[] = [];
  const client = {
    follow: (_: string, after: number | null) => {
      asked.push(after);
      return follow(after);
    },
  } as unknown as Client;
  const keys: KeyStore = { get: () => null, set: () => undefined };
  const context = { store, client, keys, storage: { setItem: () => undefined }, save: () => undefined };
  const run = (first: AsyncGenerator<StreamEvent>, signal = new AbortController().signal) =>
    followTurn(context, "t", first, signal);
  return { run, asked, turn: () => findTurn(store, "t"), store };
}

test("a stream that breaks is taken up after its last event", async () => {
  const { run, asked, turn } = page((after) => play(EVENTS.slice((after ?? -1) + 1)));
  await run(play(EVENTS.slice(0, 3), new TypeError("network")));
  expect(asked).toEqual([2]);
  expect(turn()).toMatchObject({ state: "done", responseId: "resp_1", cursor: 5, steps: [{ text: "A CT." }] });
});

test("a turn that the server refuses fails with its words", async () => {
  const { run, asked, turn } = page(() => play([]));
  await run(play([], new ApiError("The question is too long.", 422, "ref")));
  expect(asked).toEqual([]);
  expect(turn()).toMatchObject({ state: "failed", failure: { message: "The question is too long." } });
});

test("an abort stops the turn", async () => {
  const controller = new AbortController();
  const { run, turn } = page(() => play([]));
  controller.abort();
  await run(play(EVENTS.slice(0, 2), new DOMException("", "AbortError")), controller.signal);
  expect(turn()).toMatchObject({ state: "stopped", failure: null });
  expect(callsOf(turn() ?? startTurn("", { text: "", boxes: [], fileId: null, parent: null }))).toEqual([]);
});

test("text is applied in few steps, in order, and the rest at once", async () => {
  const applied: string[][] = [];
  const batch = createBatch((events) => applied.push(events.map(({ type }) => type.split(".").at(-1) ?? "")));
  for (const event of EVENTS) batch.push(event);
  expect(applied).toEqual([["created"], ["added"], ["delta", "delta", "done"], ["completed"]]);
});
