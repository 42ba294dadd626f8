import { expect, test } from "vitest";
import type { MaskPixels } from "../state/mask";
import { contourOf } from "./contours";

/** `#` is inside. */
function maskOf(...rows: string[]): MaskPixels {
  const inside = Uint8Array.from(rows.join(""), (letter) => (letter === "#" ? 1 : 0));
  return { width: rows[0]?.length ?? 0, height: rows.length, inside };
}

/** A disc of this radius in the middle of a square. */
function disc(size: number, radius: number): MaskPixels {
  const inside = Uint8Array.from({ length: size * size }, (_, index) => {
    const [x, y] = [(index % size) + 0.5 - size / 2, Math.floor(index / size) + 0.5 - size / 2];
    return Math.hypot(x, y) <= radius ? 1 : 0;
  });
  return { width: size, height: size, inside };
}

const areaOf = (polygon: readonly (readonly [number, number])[]): number =>
  polygon.reduce((sum, [x, y], index) => {
    const [nextX, nextY] = polygon[(index + 1) % polygon.length] ?? [0, 0];
    return sum + (x * nextY - nextX * y) / 2;
  }, 0);

test("a rectangle has its four corners, in fractions of the frame", () => {
  const contour = contourOf(maskOf("....", ".##.", ".##.", "...."));
  expect(contour).toHaveLength(4);
  expect(contour).toEqual(
    expect.arrayContaining([
      [0.25, 0.25],
      [0.75, 0.25],
      [0.75, 0.75],
      [0.25, 0.75],
    ]),
  );
});

test("of several parts the largest counts, holes do not, and corners do not join parts", () => {
  const contour = contourOf(maskOf("#.....", ".####.", ".#..#.", ".####.", ".....#"));
  expect(areaOf(contour) * 30).toBeCloseTo(12, 9);
});

test("a large disc becomes a polygon of few corners with its area", () => {
  const contour = contourOf(disc(512, 150));
  expect(contour.length).toBeGreaterThan(8);
  expect(contour.length).toBeLessThanOrEqual(24);
  const exact = (Math.PI * 150 ** 2) / 512 ** 2;
  expect(Math.abs(areaOf(contour) / exact - 1)).toBeLessThan(0.02);
});

test("an empty mask has none, and a mask over the whole frame is walked at its edges", () => {
  expect(contourOf(maskOf("..", ".."))).toEqual([]);
  expect(areaOf(contourOf(maskOf("###", "###")))).toBeCloseTo(1, 9);
});
