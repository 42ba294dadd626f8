import { expect, test } from "vitest";
import { PROVENANCE } from "../api/sample";
import type { JsonObject } from "../api/types";
import { overlaysOf } from "../state/overlays";
import { startTurn, type Call, type Turn } from "../state/turns";
import { areaChange, pairsOf } from "./compare";
import { editableOf, takesBoxes, withBox } from "./edits";

function call(id: string, number: number, parameters: JsonObject, data: JsonObject): Call {
  const output = { data, artifacts: [], provenance: PROVENANCE };
  const done = { kind: "call", state: "done", progress: null, startedAt: 0, seconds: 1, output, error: null } as const;
  return { ...done, id, number, index: number, tool: "tool", arguments: parameters };
}

const turn = (id: string, ...steps: Call[]): Turn => ({
  ...startTurn(id, { text: "", boxes: [], fileId: "f", parent: null }),
  steps,
  state: "done",
});

const mask = (artifact: string, area: number): JsonObject => ({ artifact, area_px: area, area_mm2: null, score: 1 });

const LEFT = [0.1, 0.1, 0.4, 0.4];
const RIGHT = [0.6, 0.1, 0.9, 0.4];
const FOUND = call("a", 1, { prompts: ["lung"] }, { boxes: [LEFT, RIGHT], phrases: ["lung", "lung"], scores: [1, 1] });
const SEGMENTED = call("b", 2, { boxes: [RIGHT], slice: 3 }, { masks: [mask("old", 100)] });

test("a box that was found is changed by the call that worked on it; one that nobody used is not", () => {
  const whole = turn("t", FOUND, SEGMENTED);
  const [left, right, segmented] = overlaysOf(whole);
  expect(left && editableOf(whole, left)).toBeNull();
  expect(right && editableOf(whole, right)).toEqual({ call: SEGMENTED, index: 0, box: RIGHT });
  expect(segmented && editableOf(whole, segmented)).toEqual({ call: SEGMENTED, index: 0, box: RIGHT });
  expect(segmented && takesBoxes(whole, segmented)).toBe(true);
  expect(right && takesBoxes(whole, right)).toBe(false);
});

test("a mask made from points has no box yet; its contour adds one", () => {
  const byPoint = call("c", 1, { points: [[0.5, 0.5, 1]] }, { masks: [mask("m", 9)] });
  const whole = turn("t", byPoint);
  const [overlay] = overlaysOf(whole);
  expect(overlay && editableOf(whole, overlay)).toBeNull();
  expect(overlay && takesBoxes(whole, overlay)).toBe(true);
  expect(withBox(byPoint.arguments, 0, [0.1, 0.2, 0.3, 0.4])).toEqual({
    points: [[0.5, 0.5, 1]],
    boxes: [[0.1, 0.2, 0.3, 0.4]],
  });
});

test("one box of a call is replaced, the other parameters stay", () => {
  expect(withBox({ boxes: [LEFT, RIGHT], slice: 3 }, 1, [0.6123456, 0.1, 0.9, 0.5])).toEqual({
    boxes: [LEFT, [0.6123, 0.1, 0.9, 0.5]],
    slice: 3,
  });
});

test("a rerun is compared result by result; what stayed equal is left out", () => {
  const again = call("b2", 2, { boxes: [LEFT], slice: 3 }, { masks: [mask("new", 150), mask("more", 5)] });
  const pairs = pairsOf(turn("t", FOUND, SEGMENTED), turn("u", { ...FOUND, id: "a2" }, again), "f");
  expect(pairs.map(({ before, after }) => [before?.mask, after?.mask])).toEqual([
    ["old", "new"],
    [undefined, "more"],
  ]);
  expect(pairs.map(areaChange)).toEqual([50, null]);
});
