/** Boxes as the API writes them: x1, y1, x2, y2 from the top left corner, fractions of the frame in [0, 1]. */

export type Box = readonly [number, number, number, number];

/** x and y as fractions of the frame in [0, 1]. */
export type Point = readonly [number, number];

const SMALLEST = 0.005;
const BOX_LINE = /^\s*Input box:\s*\[\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*\]\s*$/im;
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

/** The message text with the box and each point on a line of its own, as any client of the API can send them. */
export function withInputBox(text: string, box: Box | null, points: readonly Point[] = []): string {
  const lines = [
    ...(box === null ? [] : [`Input box: ${boxText(box)}`]),
    ...points.map((point) => `Input point: ${listText(point)}`),
  ];
  return [text, ...lines].join("\n");
}

/** The opposite of `withInputBox`: the text without its first box line and its point lines, and what these say. */
export function splitInputBox(text: string): { text: string; box: Box | null; points: Point[] } {
  const [x1, y1, x2, y2] = BOX_LINE.exec(text)?.slice(1).map(Number) ?? [];
  const points = [...text.matchAll(POINT_LINES)].map(([, x, y]): Point => [Number(x), Number(y)]);
  const none = x1 === undefined || y1 === undefined || x2 === undefined || y2 === undefined;
  const box: Box | null = none ? null : [x1, y1, x2, y2];
  return { text: text.replace(BOX_LINE, "").replace(POINT_LINES, "").trim(), box, points };
}
