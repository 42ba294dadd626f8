import { expect, test } from "vitest";
import { timelineOf } from "./timeline";
import { startTurn, type Call, type Turn } from "./turns";

const call = (number: number, startedAt: number | null, seconds: number | null): Call => ({
  kind: "call",
  id: `call_${number}`,
  index: number,
  number,
  tool: "grounding",
  arguments: {},
  state: seconds === null ? "running" : "done",
  progress: null,
  startedAt,
  seconds,
  output: null,
  error: null,
});

const turn = (calls: Call[], change: Partial<Turn> = {}): Turn => ({
  ...startTurn("t", { text: "", boxes: [], fileId: null, parent: null }, 10_000),
  steps: calls,
  state: "done",
  endedAt: 14_000,
  ...change,
});

const words = (made: Turn, now = 0) =>
  timelineOf(made, (tool) => tool, now).spans.map(
    ({ label, start, seconds }) => `${label} ${start.toFixed(1)}+${seconds.toFixed(1)}`,
  );

test("calls overlap, and the planner works while none runs", () => {
  const made = turn([call(1, 11_000, 1), call(2, 11_000, 0.5), call(3, 12_500, 1)]);
  expect(words(made)).toEqual([
    "Plan 0.0+1.0",
    "1 grounding 1.0+1.0",
    "2 grounding 1.0+0.5",
    "Next plan 2.0+0.5",
    "3 grounding 2.5+1.0",
    "Answer 3.5+0.5",
  ]);
  expect(timelineOf(made, (tool) => tool, 0)).toMatchObject({ total: 4 });
});

test("a running call grows with the clock", () => {
  const made = turn([call(1, 11_000, null)], { state: "running", endedAt: null });
  expect(words(made, 13_000)).toEqual(["Plan 0.0+1.0", "1 grounding 1.0+2.0"]);
});

test("calls that were reused or never made took no time", () => {
  const made = turn([call(1, 10_500, 0), call(2, null, null), call(3, 11_000, 1)], { reused: ["call_1"] });
  expect(words(made)).toEqual(["Plan 0.0+1.0", "3 grounding 1.0+1.0", "Answer 2.0+2.0"]);
});
