import { expect, test } from "vitest";
import type { CallError, CallItem, Item, StreamEvent } from "../api/types";
import { applyEvent, callsOf, endTurn, startTurn, turnsFromItems } from "./turns";

const OUTPUT = JSON.stringify({
  data: { labels: ["CT"], probabilities: [0.9], task: "modality" },
  artifacts: [],
  provenance: { tool: "classification", version: "1.0.0", seconds: 0.2, label: "" },
});

const TOO_SLOW: CallError = { type: "mcp_tool_execution_error", content: [{ type: "text", text: "Too slow." }] };

const call = (id: string, change: Partial<CallItem> = {}): CallItem => ({
  type: "mcp_call",
  id,
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
  { type: "response.mcp_call_arguments.done", item_id: "c1", arguments: '{"task":"modality"}' },
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

const play = (events: readonly StreamEvent[]) =>
  events.reduce(
    (turn, event, index) => applyEvent(turn, event, index * 1000),
    startTurn("t", "What is it?", null, null),
  );

test("events build thoughts, numbered calls and the answer", () => {
  const turn = applyEvent(play(EVENTS), { type: "response.completed" }, 0);
  expect(turn.state).toBe("done");
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
  expect(callsOf(endTurn(play(EVENTS.slice(0, 5)), "stopped")).map((each) => each.state)).toEqual([
    "stopped",
    "stopped",
  ]);
  const failed = applyEvent(
    play(EVENTS.slice(0, 5)),
    { type: "response.failed", response: { error: { code: "x", message: "No." } } },
    0,
  );
  expect(failed).toMatchObject({ state: "failed", failure: { message: "No." } });
});

test("stored items become turns, with the box taken out of the text", () => {
  const items: Item[] = [
    {
      type: "message",
      id: "u1",
      role: "user",
      content: [
        { type: "input_text", text: "Segment it.\nInput box: [0.100, 0.200, 0.300, 0.400]" },
        { type: "input_image", file_id: "file_1" },
      ],
    },
    call("c1", { output: OUTPUT, status: "completed" }),
    call("c2", { error: TOO_SLOW, status: "incomplete" }),
    { type: "message", id: "a1", role: "assistant", content: [{ type: "output_text", text: "Done." }] },
    { type: "message", id: "u2", role: "user", content: [{ type: "input_text", text: "And now?" }] },
  ];
  const [first, second] = turnsFromItems(items);
  expect(first).toMatchObject({ text: "Segment it.", box: [0.1, 0.2, 0.3, 0.4], fileId: "file_1", state: "done" });
  expect(first?.steps.map((step) => step.kind)).toEqual(["call", "call", "answer"]);
  expect(callsOf(first ?? startTurn("", "", null, null)).map((each) => each.state)).toEqual(["done", "skipped"]);
  expect(second).toMatchObject({ text: "And now?", fileId: null, state: "stopped" });
});
