/** Boxes as the API writes them: x1, y1, x2, y2 from the top left corner, fractions of the frame in [0, 1]. */

export type Box = readonly [number, number, number, number];

/** x and y as fractions of the frame in [0, 1]. */
export type Point = readonly [number, number];

/** Boxes that a tool takes at once. */
export const MOST_BOXES = 64;

const SMALLEST = 0.005;
const BOX_LINES = /^\s*Input box:\s*\[\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*\]\s*$/gim;
const POINT_LINES = /^\s*Input point:\s*\[\s*([\d.]+)\s*,\s*([\d.]+)\s*\]\s*$/gim;

const clamp = (value: number): number => Math.min(1, Math.max(0, value));

/** The box between two corners in any order, or null when it is too thin to mean anything. */
export function boxBetween(a: readonly [number, number], b: readonly [number, number]): Box | null {
  const [x1, x2] = [clamp(Math.min(a[0], b[0])), clamp(Math.max(a[0], b[0]))];
  const [y1, y2] = [clamp(Math.min(a[1], b[1])), clamp(Math.max(a[1], b[1]))];
  return x2 - x1 < SMALLEST || y2 - y1 < SMALLEST ? null : [x1, y1, x2, y2];
}

/** The box moved by (dx, dy), kept inside the frame. */
export function moveBox(box: Box, dx: number, dy: number): Box {
  const x = Math.min(1 - box[2], Math.max(-box[0], dx));
  const y = Math.min(1 - box[3], Math.max(-box[1], dy));
  return [box[0] + x, box[1] + y, box[2] + x, box[3] + y];
}

/** The box with its lower right corner moved by (dx, dy); unchanged where it would vanish. */
export function resizeBox(box: Box, dx: number, dy: number): Box {
  return boxBetween([box[0], box[1]], [Math.max(box[0], box[2] + dx), Math.max(box[1], box[3] + dy)]) ?? box;
}

const listText = (values: readonly number[]): string => `[${values.map((value) => value.toFixed(3)).join(", ")}]`;

export const boxText = (box: Box): string => listText(box);

/** The message text with each box and point on a line of its own, as any client of the API can send them. */
export function withInputBoxes(text: string, boxes: readonly Box[], points: readonly Point[] = []): string {
  const lines = [
    ...boxes.map((box) => `Input box: ${boxText(box)}`),
    ...points.map((point) => `Input point: ${listText(point)}`),
  ];
  return [text, ...lines].join("\n");
}

/** The opposite of `withInputBoxes`: the text without its box and point lines, and what these say. */
export function splitInputBoxes(text: string): { text: string; boxes: Box[]; points: Point[] } {
  const boxes = [...text.matchAll(BOX_LINES)].map(
    ([, x1, y1, x2, y2]): Box => [Number(x1), Number(y1), Number(x2), Number(y2)],
  );
  const points = [...text.matchAll(POINT_LINES)].map(([, x, y]): Point => [Number(x), Number(y)]);
  return { text: text.replace(BOX_LINES, "").replace(POINT_LINES, "").trim(), boxes, points };
}
