import { expect, test } from "vitest";
import { sample } from "../api/sample";
import type { CallError, CallItem, Item, StreamEvent, TurnObject } from "../api/types";
import { applyEvent, callsOf, endTurn, startTurn, turnOf, type Question } from "./turns";

const OUTPUT = JSON.stringify({
  data: { labels: ["CT"], probabilities: [0.9], task: "modality" },
  artifacts: [],
  provenance: { tool: "classification", version: "1.0.0", seconds: 0.2, label: "" },
});

const TOO_SLOW: CallError = { type: "mcp_tool_execution_error", content: [{ type: "text", text: "Too slow." }] };

const call = (id: string, change: Partial<CallItem> = {}): CallItem => ({
  type: "mcp_call",
  id: `mcp_${id}`,
  server_label: "mmedagent",
  name: "classification",
  arguments: "",
  output: null,
  error: null,
  status: "in_progress",
  ...change,
});

const event = sample<StreamEvent>;
const added = (output_index: number, item: Item) =>
  event({ type: "response.output_item.added", output_index, item });
const done = (output_index: number, item: Item) => event({ type: "response.output_item.done", output_index, item });

/** One a second. */
const EVENTS = [
  added(0, { type: "reasoning", id: "r", summary: [] }),
  event({ type: "response.reasoning_summary_text.delta", item_id: "r", delta: "I " }),
  event({ type: "response.reasoning_summary_text.delta", item_id: "r", delta: "look." }),
  added(1, call("c1")),
  added(2, call("c2", { name: "retrieval" })),
  event({ type: "response.mcp_call_arguments.done", item_id: "mcp_c1", arguments: '{"task":"modality"}' }),
  done(2, call("c2", { name: "retrieval", error: TOO_SLOW, status: "failed" })),
  done(1, call("c1", { output: OUTPUT, status: "completed" })),
  added(3, { type: "message", id: "m", role: "assistant", status: "in_progress", content: [] }),
  event({ type: "response.output_text.delta", item_id: "m", delta: "A CT [1]." }),
].map((one, at) => ({ ...one, at }));

const QUESTION: Question = { text: "What is it?", boxes: [], fileId: null, parent: null };
const failure = (code: string, message: string) =>
  event({ type: "response.failed", at: 9, response: { id: "r1", error: { code, message } } });

const play = (events: readonly StreamEvent[]) => events.reduce(applyEvent, startTurn("t", QUESTION));

test("events build thoughts, numbered calls and the answer", () => {
  const turn = applyEvent(play(EVENTS), event({ type: "response.completed", at: 9, response: { id: "r1" } }));
  expect(turn).toMatchObject({ state: "done", endedAt: 9000 });
  expect(turn.steps.map((step) => (step.kind === "call" ? step.tool : step.text))).toEqual([
    "I look.",
    "classification",
    "retrieval",
    "A CT [1].",
  ]);
  const [first, second] = callsOf(turn);
  expect(first).toMatchObject({ number: 1, state: "done", startedAt: 3000, seconds: 4, arguments: { task: "modality" } });
  expect(second).toMatchObject({ number: 2, state: "failed", error: "Too slow.", seconds: 2 });
});

test("a turn that ends early marks its running calls", () => {
  expect(callsOf(endTurn(play(EVENTS.slice(0, 5)), "stopped", 0)).map((each) => each.state)).toEqual([
    "stopped",
    "stopped",
  ]);
  const failed = applyEvent(play(EVENTS.slice(0, 5)), failure("x", "No."));
  expect(failed).toMatchObject({ state: "failed", failure: { message: "No." } });
});

test("the first event names the turn, and cancelled is not failed", () => {
  const response = { id: "r1", mmedagent: { parent: "r0", rerun_of: null, reused: ["c1"] } };
  const turn = applyEvent(play([]), event({ type: "response.created", sequence_number: 0, response }));
  expect(turn).toMatchObject({ responseId: "r1", parent: "r0", reused: ["c1"], cursor: 0 });
  expect(applyEvent(turn, failure("cancelled", "Cancelled."))).toMatchObject({ state: "stopped", failure: null });
});

test("a text that begins again is not written twice", () => {
  const twice = [...EVENTS.slice(0, 2), ...EVENTS.slice(0, 3)];
  expect(play(twice).steps).toMatchObject([{ text: "I look." }]);
});

test("progress of a call is kept while it runs", () => {
  const news = { fraction: 0.5, text: "Half." };
  const told = event({ type: "response.mcp_call.in_progress", item_id: "mcp_c1", mmedagent: news });
  const running = applyEvent(play(EVENTS.slice(0, 5)), told);
  expect(callsOf(running)[0]?.progress).toEqual(news);
  expect(callsOf(EVENTS.slice(5).reduce(applyEvent, running))[0]?.progress).toBeNull();
});

const stored = (change: Partial<TurnObject>): TurnObject => ({
  slice: null,
  id: "resp_1",
  parent: null,
  rerun_of: null,
  reused: [],
  created_at: 100,
  status: "completed",
  question: "Segment it.\nInput box: [0.100, 0.200, 0.300, 0.400]",
  file_id: "file_1",
  error: null,
  ended_at: 103,
  call_times: { c1: { started_at: 101, ended_at: 101.5 } },
  output: [
    call("c1", { output: OUTPUT, status: "completed" }),
    call("c2", { error: TOO_SLOW, status: "incomplete" }),
    sample<Item>({ type: "message", id: "a1", content: [{ type: "output_text", text: "Done." }] }),
  ],
  ...change,
});

test("a stored turn has its steps, with the box taken out of the text", () => {
  const turn = turnOf(stored({}));
  expect(turn).toMatchObject({ text: "Segment it.", boxes: [[0.1, 0.2, 0.3, 0.4]], fileId: "file_1", state: "done" });
  expect(turn.steps.map((step) => step.kind)).toEqual(["call", "call", "answer"]);
  expect(callsOf(turn).map((each) => each.state)).toEqual(["done", "skipped"]);
  expect(callsOf(turn)[0]).toMatchObject({ startedAt: 101_000, seconds: 0.5 });
  expect(callsOf(turn)[1]).toMatchObject({ startedAt: null, seconds: null });
  expect(turn.endedAt).toBe(103_000);
});

test("a stored turn that runs waits for its events; one that ended early says how", () => {
  expect(turnOf(stored({ status: "in_progress" }))).toMatchObject({ state: "running", steps: [], startedAt: 100_000 });
  expect(turnOf(stored({ status: "cancelled", output: [] }))).toMatchObject({ state: "stopped", failure: null });
  expect(turnOf(stored({ status: "failed", error: { code: "x", message: "No planner." } }))).toMatchObject({
    failure: { message: "No planner." },
  });
});
