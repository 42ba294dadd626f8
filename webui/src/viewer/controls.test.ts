import { beforeEach, expect, test } from "vitest";
import { MOST_BOXES } from "../state/boxes";
import type { FramesInfo } from "./api";
import { createControls, type Controls } from "./controls";
import type { Position } from "./geometry";
import { createViewerStore, viewerActions, type Mode, type Shapes, type ViewerStore } from "./state";

const INFO: FramesInfo = {
  count: 5,
  width: 100,
  height: 100,
  samples: 1,
  dtype: "int16",
  slope: 1,
  intercept: 0,
  unit: "HU",
  window: { center: 40, width: 500, source: "header", function: "LINEAR" },
  presets: [],
  invert: false,
  orientation: null,
  spacing_mm: null,
  spacing_source: null,
  slice_spacing_mm: null,
};

let store: ViewerStore;
let shapes: Shapes;
let controls: Controls;

/** The frame fills a stage of 100 x 100 CSS pixels, so a pixel of the one is a pixel of the other. */
beforeEach(() => {
  store = createViewerStore(INFO, 2);
  store.set({ stage: { width: 100, height: 100 } });
  shapes = { boxes: [], points: [], polygon: null, ruler: null };
  const keep = { get: () => shapes, set: (change: Partial<Shapes>) => void (shapes = { ...shapes, ...change }) };
  controls = createControls(store, viewerActions(store), keep);
});

function drag(from: Position, to: Position, button = 0): void {
  controls.down({ id: 1, stage: from, button, pan: false });
  controls.move(1, to);
  controls.up(1);
}

const click = (at: Position): void => drag(at, at);
const hold = (mode: Mode): void => store.set({ mode });
const near = (...values: number[]): unknown => values.map((value) => expect.closeTo(value, 9) as unknown);

test("boxes are drawn, moved and resized one by one, and a click beside them changes nothing", () => {
  hold("box");
  drag([10, 20], [50, 60]);
  expect(shapes.boxes).toEqual([near(0.1, 0.2, 0.5, 0.6)]);
  drag([25, 45], [35, 50]);
  expect(shapes.boxes).toEqual([near(0.2, 0.25, 0.6, 0.65)]);
  drag([70, 5], [98, 45]);
  drag([60, 65], [65, 90]);
  expect(shapes.boxes).toEqual([near(0.2, 0.25, 0.65, 0.9), near(0.7, 0.05, 0.98, 0.45)]);
  drag([20, 58], [5, 0]);
  drag([84, 25], [82, 25]);
  click([90, 80]);
  expect(shapes.boxes).toEqual([near(0.05, 0.25, 0.65, 0.9), near(0.68, 0.05, 0.96, 0.45)]);
});

test("of boxes that lie on each other the newest is moved", () => {
  hold("box");
  shapes = { ...shapes, boxes: [[0.1, 0.1, 0.9, 0.9], [0.3, 0.3, 0.7, 0.7]] };
  drag([50, 50], [55, 50]);
  expect(shapes.boxes).toEqual([near(0.1, 0.1, 0.9, 0.9), near(0.35, 0.3, 0.75, 0.7)]);
});

test("no more boxes are drawn than a tool takes", () => {
  hold("box");
  shapes = { ...shapes, boxes: Array.from({ length: MOST_BOXES }, () => [0, 0, 0.3, 0.3] as const) };
  drag([50, 50], [90, 90]);
  expect(shapes.boxes).toHaveLength(MOST_BOXES);
});

test("what is drawn counts only when the pointer is let go", () => {
  hold("box");
  controls.down({ id: 1, stage: [10, 10], button: 0, pan: false });
  controls.move(1, [30, 30]);
  expect(shapes.boxes).toEqual([]);
  expect(store.get().draft?.boxes).toEqual([near(0.1, 0.1, 0.3, 0.3)]);
  controls.up(1);
  expect(shapes.boxes).toEqual([near(0.1, 0.1, 0.3, 0.3)]);
  expect(store.get().draft).toBeNull();
});

test("points are placed and dragged", () => {
  hold("point");
  click([20, 20]);
  click([70, 70]);
  drag([22, 20], [40, 10]);
  expect(shapes.points).toEqual([near(0.4, 0.1), near(0.7, 0.7)]);
});

test("a polygon closes at its first corner; panning meanwhile keeps it", () => {
  hold("polygon");
  for (const corner of [
    [10, 10],
    [90, 10],
    [50, 90],
  ] as const) {
    click(corner);
  }
  drag([50, 50], [60, 50], 1);
  expect(shapes.polygon).toBeNull();
  expect(store.get().view.center[0]).toBeCloseTo(0.4, 9);
  drag([60, 50], [50, 50], 1);
  click([11, 11]);
  expect(shapes.polygon).toEqual([near(0.1, 0.1), near(0.9, 0.1), near(0.5, 0.9)]);
  drag([50, 90], [50, 70]);
  expect(shapes.polygon?.[2]).toEqual(near(0.5, 0.7));
});

test("a ruler is drawn, and each end can be dragged", () => {
  hold("ruler");
  drag([10, 10], [40, 50]);
  drag([10, 10], [0, 0]);
  expect(shapes.ruler).toEqual([near(0.4, 0.5), near(0, 0)]);
});

test("a window drag changes width and centre, and leaves shapes alone", () => {
  hold("window");
  drag([50, 50], [60, 45]);
  expect(store.get().window).toEqual({ center: 30, width: 520 });
  expect(shapes).toEqual({ boxes: [], points: [], polygon: null, ruler: null });
});

test("the wheel changes slices, with Ctrl it zooms at the pointer", () => {
  controls.wheel([50, 50], 120, false);
  expect(store.get().index).toBe(3);
  for (let turn = 0; turn < 9; turn += 1) controls.wheel([50, 50], 20, false);
  expect(store.get().index).toBe(4);
  controls.wheel([0, 0], -300, true);
  expect(store.get().view.zoom).toBeCloseTo(Math.E, 9);
  expect(store.get().index).toBe(4);
});

test("two fingers zoom what lies between them, and draw nothing", () => {
  hold("box");
  controls.down({ id: 1, stage: [40, 50], button: 0, pan: false });
  controls.down({ id: 2, stage: [60, 50], button: 0, pan: false });
  controls.move(2, [80, 50]);
  controls.up(2);
  controls.up(1);
  expect(store.get().view.zoom).toBeCloseTo(2, 9);
  expect(store.get().view.center[0]).toBeCloseTo(0.45, 9);
  expect(shapes.boxes).toEqual([]);
});

test("everything can be drawn with the keyboard", () => {
  hold("box");
  expect(controls.key("Enter", false)).toBe(true);
  controls.key("ArrowRight", true);
  controls.key("ArrowDown", true);
  controls.key("ArrowDown", true);
  controls.key("Enter", false);
  expect(shapes.boxes).toEqual([near(0.5, 0.5, 0.55, 0.6)]);
  hold("point");
  controls.key("Enter", false);
  expect(shapes.points).toEqual([near(0.55, 0.6)]);
  hold("polygon");
  for (const key of ["Enter", "ArrowRight", "Enter"]) controls.key(key, true);
  expect(store.get().draft?.polygon).toHaveLength(1);
  controls.key("ArrowUp", true);
  for (let times = 0; times < 3; times += 1) controls.key("ArrowUp", true);
  controls.key("Enter", false);
  expect(store.get().draft?.polygon).toHaveLength(2);
  controls.key("Backspace", false);
  expect(store.get().draft?.polygon).toHaveLength(1);
});

test("keys move between slices, zoom and invert; Escape drops what is half drawn and is else left to the page", () => {
  controls.key("End", false);
  expect(store.get().index).toBe(4);
  controls.key("PageDown", false);
  expect(store.get().index).toBe(4);
  controls.key("PageUp", false);
  expect(store.get().index).toBe(3);
  controls.key("+", false);
  controls.key("0", false);
  expect(store.get().view.zoom).toBe(1);
  controls.key("i", false);
  expect(store.get().invert).toBe(true);
  hold("box");
  controls.key("Enter", false);
  expect(controls.key("Escape", false)).toBe(true);
  expect(store.get().anchor).toBeNull();
  expect(controls.key("Escape", false)).toBe(false);
  expect(controls.key("q", false)).toBe(false);
});
