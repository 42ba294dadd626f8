import { expect, test } from "vitest";
import type { CallError, CallItem, StreamEvent, TurnObject } from "../api/types";
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
  name: "classification",
  arguments: "",
  output: null,
  error: null,
  status: "in_progress",
  ...change,
});

const EVENTS: StreamEvent[] = [
  { type: "response.output_item.added", output_index: 0, item: { type: "reasoning", id: "r", summary: [] } },
  { type: "response.reasoning_summary_text.delta", item_id: "r", delta: "I " },
  { type: "response.reasoning_summary_text.delta", item_id: "r", delta: "look." },
  { type: "response.output_item.added", output_index: 1, item: call("c1") },
  { type: "response.output_item.added", output_index: 2, item: call("c2", { name: "retrieval" }) },
  { type: "response.mcp_call_arguments.done", item_id: "mcp_c1", arguments: '{"task":"modality"}' },
  {
    type: "response.output_item.done",
    output_index: 2,
    item: call("c2", { name: "retrieval", error: TOO_SLOW, status: "failed" }),
  },
  { type: "response.output_item.done", output_index: 1, item: call("c1", { output: OUTPUT, status: "completed" }) },
  {
    type: "response.output_item.added",
    output_index: 3,
    item: { type: "message", id: "m", role: "assistant", content: [] },
  },
  { type: "response.output_text.delta", item_id: "m", delta: "A CT [1]." },
];

const QUESTION: Question = { text: "What is it?", box: null, fileId: null, parent: null };
const response = (status: string, error: { code: string; message: string } | null = null) => ({
  id: "r1",
  status,
  error,
});

const play = (events: readonly StreamEvent[]) =>
  events.reduce((turn, event, index) => applyEvent(turn, event, index * 1000), startTurn("t", QUESTION));

test("events build thoughts, numbered calls and the answer", () => {
  const turn = applyEvent(play(EVENTS), { type: "response.completed", response: response("completed") }, 9);
  expect(turn).toMatchObject({ state: "done", endedAt: 9 });
  expect(turn.steps.map((step) => (step.kind === "call" ? step.tool : step.text))).toEqual([
    "I look.",
    "classification",
    "retrieval",
    "A CT [1].",
  ]);
  const [first, second] = callsOf(turn);
  expect(first).toMatchObject({ number: 1, state: "done", seconds: 4, arguments: { task: "modality" } });
  expect(second).toMatchObject({ number: 2, state: "failed", error: "Too slow.", seconds: 2 });
});

test("a turn that ends early marks its running calls", () => {
  expect(callsOf(endTurn(play(EVENTS.slice(0, 5)), "stopped", 0)).map((each) => each.state)).toEqual([
    "stopped",
    "stopped",
  ]);
  const failed = applyEvent(
    play(EVENTS.slice(0, 5)),
    { type: "response.failed", response: response("failed", { code: "x", message: "No." }) },
    0,
  );
  expect(failed).toMatchObject({ state: "failed", failure: { message: "No." } });
});

test("the first event names the turn, and cancelled is not failed", () => {
  const created: StreamEvent = {
    type: "response.created",
    sequence_number: 0,
    response: { ...response("in_progress"), mmedagent: { parent: "r0", rerun_of: null, reused: ["c1"] } },
  };
  const turn = applyEvent(play([]), created, 0);
  expect(turn).toMatchObject({ responseId: "r1", parent: "r0", reused: ["c1"], cursor: 0 });
  const cancelled = response("failed", { code: "cancelled", message: "Cancelled." });
  expect(applyEvent(turn, { type: "response.failed", response: cancelled }, 0)).toMatchObject({
    state: "stopped",
    failure: null,
  });
});

test("a text that begins again is not written twice", () => {
  const twice = [...EVENTS.slice(0, 2), ...EVENTS.slice(0, 3)];
  expect(play(twice).steps).toMatchObject([{ text: "I look." }]);
});

test("an event happened when it says", () => {
  const late = EVENTS.map((event, index): StreamEvent => ({ ...event, at: index }));
  const [first] = callsOf(late.reduce((turn, event) => applyEvent(turn, event, 99_000), startTurn("t", QUESTION)));
  expect(first).toMatchObject({ startedAt: 3000, seconds: 4 });
});

test("progress of a call is kept while it runs", () => {
  const news = { fraction: 0.5, text: "Half." };
  const running = applyEvent(
    play(EVENTS.slice(0, 5)),
    { type: "response.mcp_call.in_progress", item_id: "mcp_c1", mmedagent: news },
    0,
  );
  expect(callsOf(running)[0]?.progress).toEqual(news);
  expect(callsOf(EVENTS.slice(5).reduce((turn, event) => applyEvent(turn, event, 0), running))[0]?.progress).toBeNull();
});

const stored = (change: Partial<TurnObject>): TurnObject => ({
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
    { type: "message", id: "a1", role: "assistant", content: [{ type: "output_text", text: "Done." }] },
  ],
  ...change,
});

test("a stored turn has its steps, with the box taken out of the text", () => {
  const turn = turnOf(stored({}));
  expect(turn).toMatchObject({ text: "Segment it.", box: [0.1, 0.2, 0.3, 0.4], fileId: "file_1", state: "done" });
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
