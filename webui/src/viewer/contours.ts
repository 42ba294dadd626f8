/** The outline of a mask as a polygon that a person can change. */

import type { MaskPixels } from "../state/mask";
import type { Position } from "./geometry";

const MOST_CORNERS = 24;

/** The outer outline of the largest connected part of a mask, simplified to at most 24 corners, in fractions of the
 * frame. Empty for an empty mask. Parts touch along edges, not at corners.
 */
export function contourOf(mask: MaskPixels): Position[] {
  const loops = outerLoops(mask);
  const largest = loops.reduce<Corner[]>((best, loop) => (area(loop) > area(best) ? loop : best), []);
  if (largest.length === 0) return [];
  let tolerance = 0.5;
  let corners = simplify(largest, tolerance);
  while (corners.length > MOST_CORNERS) corners = simplify(largest, (tolerance *= 1.5));
  return corners.map(([x, y]) => [x / mask.width, y / mask.height]);
}

/** A corner between pixels: column and row from the top left corner of the frame. */
type Corner = readonly [x: number, y: number];

const STEPS: readonly Corner[] = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
];

/** Walks along pixel edges with the inside on the right hand (y points down), so outer outlines run clockwise. */
function outerLoops({ width, height, inside }: MaskPixels): Corner[][] {
  const at = (x: number, y: number): number =>
    x < 0 || y < 0 || x >= width || y >= height ? 0 : (inside[y * width + x] ?? 0);
  const walked = new Uint8Array(width * height);
  const loops: Corner[][] = [];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (at(x, y) === 1 && at(x, y - 1) === 0 && walked[y * width + x] === 0)
        loops.push(walk(x, y, at, walked, width));
    }
  }
  return loops;
}

/** The loop that starts along the upper edge of the pixel (x, y); marks each pixel whose upper edge it follows. */
function walk(
  startX: number,
  startY: number,
  at: (x: number, y: number) => number,
  walked: Uint8Array,
  width: number,
): Corner[] {
  const loop: Corner[] = [];
  let [x, y, direction] = [startX, startY, 0];
  do {
    if (direction === 0) walked[y * width + x] = 1;
    const [dx, dy] = STEPS[direction] ?? [0, 0];
    [x, y] = [x + dx, y + dy];
    const next = turn(x, y, direction, at);
    if (next !== direction) loop.push([x, y]);
    direction = next;
  } while (x !== startX || y !== startY || direction !== 0);
  return loop;
}

/** The direction in which to go on from a corner: right if the pixel ahead on the right is outside, left if the one
 * ahead on the left is inside, else straight. */
function turn(x: number, y: number, direction: number, at: (x: number, y: number) => number): number {
  const [dx, dy] = STEPS[direction] ?? [0, 0];
  const ahead = (side: 1 | -1): number => at(x + (dx - side * dy - 1) / 2, y + (dy + side * dx - 1) / 2);
  if (ahead(1) === 0) return (direction + 1) % 4;
  return ahead(-1) === 1 ? (direction + 3) % 4 : direction;
}

/** Twice the area inside a loop; negative for the outline of a hole. */
function area(loop: readonly Corner[]): number {
  return loop.reduce((sum, [x, y], index) => {
    const [nextX, nextY] = loop[(index + 1) % loop.length] ?? [0, 0];
    return sum + x * nextY - nextX * y;
  }, 0);
}

/** A closed polygon with fewer corners, none of the old ones farther than `tolerance` (Ramer 1972, Douglas and Peucker
 * 1973). The loop is cut at its first corner and at the one farthest from it. */
function simplify(loop: readonly Corner[], tolerance: number): Corner[] {
  const start = loop[0];
  if (start === undefined) return [];
  const far = loop.reduce(
    (best, corner, index) => (gap(corner, start) > gap(loop[best] ?? start, start) ? index : best),
    0,
  );
  return [...between(loop.slice(0, far + 1), tolerance), ...between([...loop.slice(far), start], tolerance)];
}

/** The corners to keep of an open line, without its last. */
function between(line: readonly Corner[], tolerance: number): Corner[] {
  const [first, last] = [line[0], line.at(-1)];
  if (first === undefined || last === undefined || line.length < 2) return [];
  let [split, most] = [0, tolerance];
  line.forEach((corner, index) => {
    const away = offLine(corner, first, last);
    if (away > most) [split, most] = [index, away];
  });
  return split === 0
    ? [first]
    : [...between(line.slice(0, split + 1), tolerance), ...between(line.slice(split), tolerance)];
}

const gap = (a: Corner, b: Corner): number => Math.hypot(a[0] - b[0], a[1] - b[1]);

/** The distance of a corner from the line through two others, or from the first where the two are one. */
function offLine(corner: Corner, first: Corner, last: Corner): number {
  const length = gap(first, last);
  if (length === 0) return gap(corner, first);
  const cross = (last[0] - first[0]) * (corner[1] - first[1]) - (last[1] - first[1]) * (corner[0] - first[0]);
  return Math.abs(cross) / length;
}
