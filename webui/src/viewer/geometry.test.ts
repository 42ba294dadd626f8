import { expect, test } from "vitest";
import {
  distance,
  FITTED,
  panBy,
  pixelAt,
  place,
  scaleBar,
  toFrame,
  toStage,
  zoomAt,
  type FrameShape,
  type Position,
} from "./geometry";

const SQUARE: FrameShape = { width: 100, height: 100, spacing: null };
const TALL: FrameShape = { width: 100, height: 100, spacing: [2, 1] };
const STAGE = { width: 300, height: 300 };

test("a frame fits the stage with square millimetres, in its middle", () => {
  expect(place(TALL, STAGE, FITTED)).toEqual({ left: 75, top: 0, width: 150, height: 300 });
  expect(place(SQUARE, { width: 400, height: 200 }, FITTED)).toEqual({ left: 100, top: 0, width: 200, height: 200 });
});

test("positions on the stage and on the frame are each other's opposite", () => {
  const placed = place(TALL, STAGE, { zoom: 3, center: [0.2, 0.7] });
  const at: Position = [0.31, 0.64];
  const back = toFrame(toStage(at, placed), placed);
  expect(back[0]).toBeCloseTo(at[0], 12);
  expect(back[1]).toBeCloseTo(at[1], 12);
});

test("zooming keeps what is under the pointer where it is", () => {
  const pointer: Position = [90, 210];
  let view = FITTED;
  const under = toFrame(pointer, place(SQUARE, STAGE, view));
  for (const factor of [1.5, 2, 0.8]) {
    view = zoomAt(view, factor, under);
    const after = toStage(under, place(SQUARE, STAGE, view));
    expect(after[0]).toBeCloseTo(pointer[0], 9);
    expect(after[1]).toBeCloseTo(pointer[1], 9);
  }
  expect(zoomAt(FITTED, 1000, [0.5, 0.5]).zoom).toBe(40);
  expect(zoomAt(FITTED, 0.001, [0.5, 0.5]).zoom).toBe(0.5);
});

test("panning moves the frame with the pointer, but not off the stage", () => {
  const view = { zoom: 2, center: [0.5, 0.5] } as const;
  const placed = place(SQUARE, STAGE, view);
  const moved = place(SQUARE, STAGE, panBy(view, 30, -60, placed));
  expect(moved.left - placed.left).toBeCloseTo(30, 9);
  expect(moved.top - placed.top).toBeCloseTo(-60, 9);
  expect(panBy(view, 9999, -9999, placed).center).toEqual([0, 1]);
});

test("a position names its pixel, and none outside of the frame", () => {
  expect(pixelAt([0, 0], SQUARE)).toEqual([0, 0]);
  expect(pixelAt([0.999, 0.509], SQUARE)).toEqual([99, 50]);
  expect(pixelAt([1, 0.5], SQUARE)).toBeNull();
  expect(pixelAt([0.5, -0.001], SQUARE)).toBeNull();
});

test("a distance is in millimetres where the spacing is known, else in pixels", () => {
  expect(distance([0, 0], [0.3, 0.2], TALL)).toEqual({ value: 50, unit: "mm" });
  expect(distance([0, 0], [0.3, 0.4], SQUARE)).toEqual({ value: 50, unit: "px" });
});

test.each([
  [SQUARE, 1000, 50, 5, "px", 50],
  [SQUARE, 1000, 49, 2, "px", 20],
  [{ ...SQUARE, spacing: [0.5, 0.5] as const }, 500, 120, 10, "mm", 100],
])("the scale bar is a round length that fits", (shape, width, longest, value, unit, pixels) => {
  const bar = scaleBar(shape, { width, height: width }, longest);
  expect(bar).toMatchObject({ value, unit });
  expect(bar.pixels).toBeCloseTo(pixels, 9);
});
