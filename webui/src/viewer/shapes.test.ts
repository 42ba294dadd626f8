import { expect, test } from "vitest";
import type { Position } from "./geometry";
import { boundingBox, dragHandle, handlePosition, HANDLES, nearest, positionInside } from "./shapes";

const BOX = [0.25, 0.25, 0.75, 0.5] as const;

test("each handle moves its sides only, and may cross over", () => {
  expect(HANDLES).toHaveLength(8);
  expect(dragHandle(BOX, [1, 1], [0.875, 0.75])).toEqual([0.25, 0.25, 0.875, 0.75]);
  expect(dragHandle(BOX, [0, -1], [0.9, 0.125])).toEqual([0.25, 0.125, 0.75, 0.5]);
  expect(dragHandle(BOX, [-1, 0], [0.875, 0])).toEqual([0.75, 0.25, 0.875, 0.5]);
  expect(dragHandle(BOX, [1, 0], [0.25, 0])).toBeNull();
  for (const handle of HANDLES) expect(dragHandle(BOX, handle, handlePosition(BOX, handle))).toEqual(BOX);
});

test("a polygon has a box around it and a position inside, also when it is bent", () => {
  const bent: Position[] = [
    [0, 0],
    [0.9, 0],
    [0.9, 0.9],
    [0.7, 0.9],
    [0.7, 0.2],
    [0, 0.2],
  ];
  expect(boundingBox(bent)).toEqual([0, 0, 0.9, 0.9]);
  const [x, y] = positionInside(bent) ?? [NaN, NaN];
  expect((x > 0 && x < 0.9 && y > 0 && y < 0.2) || (x > 0.7 && x < 0.9 && y > 0 && y < 0.9)).toBe(true);
  expect(boundingBox([])).toBeNull();
  expect(positionInside([])).toBeNull();
});

test("the nearest position within reach is caught, in pixels of the stage", () => {
  const scale = { width: 1000, height: 100 };
  const positions: Position[] = [
    [0.5, 0.5],
    [0.502, 0.5],
  ];
  expect(nearest(positions, [0.5015, 0.5], scale, 10)).toBe(1);
  expect(nearest(positions, [0.5, 0.59], scale, 10)).toBe(0);
  expect(nearest(positions, [0.52, 0.5], scale, 10)).toBeNull();
});
