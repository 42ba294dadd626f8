import { expect, test } from "vitest";
import { PROVENANCE } from "../api/sample";
import type { Client } from "../api/client";
import type { JsonObject } from "../api/types";
import { createActions } from "./actions";
import { createAppStore } from "./app";
import { boxBetween, moveBox, resizeBox, splitInputBoxes, withInputBoxes } from "./boxes";
import { maskFromRgba, outline, tint } from "./mask";
import { isLit, opacityOf, overlaysOf, turnToDraw } from "./overlays";
import { loadPreferences } from "./preferences";
import { startTurn, type Call, type Turn } from "./turns";

function turnWith(data: JsonObject): Turn {
  const call: Call = {
    kind: "call",
    id: "c",
    index: 0,
    number: 1,
    tool: "grounded_segmentation",
    arguments: {},
    state: "done",
    progress: null,
    startedAt: 0,
    seconds: 1,
    output: { data, artifacts: [], provenance: PROVENANCE },
    error: null,
  };
  return { ...startTurn("t", { text: "", boxes: [[0, 0, 0.5, 0.5]], fileId: "f", parent: null }), steps: [call] };
}

test("drawn boxes go into the text, each on its line, and come out again", () => {
  const boxes = [
    [0.25, 0.05, 0.75, 0.7],
    [0, 0, 0.125, 0.5],
  ] as const;
  const text = withInputBoxes("Segment this", boxes);
  expect(text).toBe("Segment this\nInput box: [0.250, 0.050, 0.750, 0.700]\nInput box: [0.000, 0.000, 0.125, 0.500]");
  expect(splitInputBoxes(text)).toEqual({ text: "Segment this", boxes, points: [] });
  expect(splitInputBoxes("No box here")).toEqual({ text: "No box here", boxes: [], points: [] });
});

test("points go into the text, each on its line, and come out again", () => {
  const points = [
    [0.4, 0.6],
    [0.125, 0.5],
  ] as const;
  const text = withInputBoxes("Outline this", [[0, 0, 0.5, 1]], points);
  expect(text.split("\n").slice(2)).toEqual(["Input point: [0.400, 0.600]", "Input point: [0.125, 0.500]"]);
  expect(splitInputBoxes(text)).toEqual({ text: "Outline this", boxes: [[0, 0, 0.5, 1]], points });
});

test("boxes are ordered, kept inside the frame, and not too thin", () => {
  expect(boxBetween([0.8, 1.4], [0.2, -1])).toEqual([0.2, 0, 0.8, 1]);
  expect(boxBetween([0.5, 0.5], [0.501, 0.9])).toBeNull();
  expect(moveBox([0.5, 0, 1, 0.5], 0.25, -0.25)).toEqual([0.5, 0, 1, 0.5]);
  expect(resizeBox([0.5, 0.5, 0.75, 0.75], 0, -1)).toEqual([0.5, 0.5, 0.75, 0.75]);
});

test("a thing with a box and a mask is one overlay; an empty mask is none", () => {
  const turn = turnWith({
    boxes: [[0.1, 0.1, 0.2, 0.2]],
    phrases: ["liver"],
    scores: [0.8],
    masks: [
      { artifact: "aa", box: null, area_px: 4, area_mm2: null, score: 0.9 },
      { artifact: "bb", box: null, area_px: 0, area_mm2: null, score: 0.1 },
    ],
  });
  expect(overlaysOf(turn).map(({ label, mask, box }) => ({ label, mask, box }))).toEqual([
    { label: "Your box", mask: null, box: [0, 0, 0.5, 0.5] },
    { label: "liver", mask: "aa", box: [0.1, 0.1, 0.2, 0.2] },
  ]);
  const [, liver] = overlaysOf(turn);
  expect(liver).toMatchObject({ callId: "c", callNumber: 1, tool: "grounded_segmentation", areaPx: 4, slice: null });
  expect(liver && isLit(liver, { callId: "c", field: "/masks/0/area_px" })).toBe(true);
  expect(liver && isLit(liver, { callId: "c", field: null })).toBe(true);
  expect(liver && isLit(liver, { callId: "c", field: "/boxes/1" })).toBe(false);
  expect(liver && isLit(liver, { callId: "d", field: null })).toBe(false);
  const later = { ...startTurn("u", { text: "", boxes: [], fileId: "f", parent: null }), state: "done" as const };
  expect(turnToDraw([turn, later], "f")).toBe(turn);
  expect(turnToDraw([turn], "other")).toBeNull();
  const newer = { ...turn, id: "v", steps: turn.steps.map((step) => ({ ...step, id: "newer" })) };
  expect(turnToDraw([turn, newer], "f")).toBe(newer);
  expect(turnToDraw([turn, newer], "f", "c")).toBe(turn);
});

test("an overlay has an opacity of its own until that of all masks is chosen", () => {
  const store = createAppStore(loadPreferences({ getItem: () => null }));
  const keys = { get: () => null, set: () => undefined };
  const storage = { setItem: () => undefined };
  const actions = createActions({ store, client: {} as Client, keys, storage, save: () => undefined });
  const masks = [0, 1].map((index) => ({ artifact: `${index}`, box: null, area_px: 4, area_mm2: null, score: 0.9 }));
  const [box, first, second] = overlaysOf(turnWith({ masks }));
  if (box === undefined || first === undefined || second === undefined) throw new Error("An overlay is missing.");
  const opacities = (): number[] => [box, first, second].map((overlay) => opacityOf(store.get(), overlay));
  expect(opacities()).toEqual([1, 0.35, 0.35]);
  actions.setOpacity(box, 0.5);
  actions.setOpacity(second, 0.8);
  expect(opacities()).toEqual([0.5, 0.35, 0.8]);
  actions.setOpacityOfMasks([first, second], 0.2);
  expect(opacities()).toEqual([0.5, 0.2, 0.2]);
  expect(opacityOf(store.get(), { id: "a mask of the next turn", mask: "cc" })).toBe(0.2);
});

test("a mask becomes tinted pixels and an outline along pixel edges", () => {
  const mask = maskFromRgba(new Uint8ClampedArray([0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255]), 3, 1);
  expect([...mask.inside]).toEqual([0, 1, 1]);
  expect([...tint(mask, "#56b4e9")]).toEqual([0, 0, 0, 0, 86, 180, 233, 255, 86, 180, 233, 255]);
  expect(outline(mask)).toBe("M1 0h2M1 1h2M1 0v1M3 0v1");
});
