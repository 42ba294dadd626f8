/** Boxes and polygons that are drawn and changed by hand, in fractions of the frame. */

import { boxBetween, type Box } from "../state/boxes";
import { clamp, type Position } from "./geometry";

/** -1, 0 or 1: which side of the box a handle moves along x and along y. */
export type Handle = readonly [x: -1 | 0 | 1, y: -1 | 0 | 1];

export const HANDLES: readonly Handle[] = [
  [-1, -1],
  [0, -1],
  [1, -1],
  [1, 0],
  [1, 1],
  [0, 1],
  [-1, 1],
  [-1, 0],
];

export const handlePosition = (box: Box, [x, y]: Handle): Position => [
  box[0] + ((x + 1) / 2) * (box[2] - box[0]),
  box[1] + ((y + 1) / 2) * (box[3] - box[1]),
];

/** The box with one handle at `to`; a side that crosses the opposite one takes its place. Null when too thin. */
export function dragHandle(box: Box, [x, y]: Handle, to: Position): Box | null {
  const first: Position = [x < 0 ? to[0] : box[0], y < 0 ? to[1] : box[1]];
  const second: Position = [x > 0 ? to[0] : box[2], y > 0 ? to[1] : box[3]];
  return boxBetween(first, second);
}

export const isInside = ([x, y]: Position, box: Box): boolean => x > box[0] && x < box[2] && y > box[1] && y < box[3];

export const clampPosition = ([x, y]: Position): Position => [clamp(x, 0, 1), clamp(y, 0, 1)];

/** The smallest box around a polygon; null when it is too thin to mean anything. */
export function boundingBox(polygon: readonly Position[]): Box | null {
  const [xs, ys] = [polygon.map(([x]) => x), polygon.map(([, y]) => y)];
  return polygon.length === 0
    ? null
    : boxBetween([Math.min(...xs), Math.min(...ys)], [Math.max(...xs), Math.max(...ys)]);
}

/** A position well inside of a polygon: the middle of the widest stretch along the rows that cross it.
 *
 * The polygon may be concave; eleven rows are tried. Null when no row crosses it.
 */
export function positionInside(polygon: readonly Position[]): Position | null {
  const ys = polygon.map(([, y]) => y);
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  let best: { width: number; position: Position } | null = null;
  for (let row = 1; row <= 11; row += 1) {
    const y = top + ((bottom - top) * row) / 12;
    const crossings = crossingsAt(polygon, y);
    for (let index = 0; index + 1 < crossings.length; index += 2) {
      const [from, to] = [crossings[index] ?? 0, crossings[index + 1] ?? 0];
      // Rows near the middle win when stretches are alike.
      const width = (to - from) * (1 - Math.abs(row - 6) / 24);
      if (best === null || width > best.width) best = { width, position: [(from + to) / 2, y] };
    }
  }
  return best === null || best.width <= 0 ? null : best.position;
}

/** Where the edges of a polygon cross the row `y`, from left to right. */
function crossingsAt(polygon: readonly Position[], y: number): number[] {
  return polygon
    .flatMap((a, index) => {
      const b = polygon[(index + 1) % polygon.length] ?? a;
      return a[1] <= y === b[1] <= y ? [] : [a[0] + ((y - a[1]) / (b[1] - a[1])) * (b[0] - a[0])];
    })
    .sort((a, b) => a - b);
}

/** The index of the position nearest to `to`, if it is within `reach` CSS pixels; the frame is as large as `scale`. */
export function nearest(
  positions: readonly Position[],
  to: Position,
  scale: { width: number; height: number },
  reach: number,
): number | null {
  let [found, least]: [number | null, number] = [null, reach];
  positions.forEach(([x, y], index) => {
    const far = Math.hypot((x - to[0]) * scale.width, (y - to[1]) * scale.height);
    if (far <= least) [found, least] = [index, far];
  });
  return found;
}
