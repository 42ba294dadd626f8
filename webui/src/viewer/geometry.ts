/** Where the frame lies on the stage. Positions on a frame are fractions of its width and height, from the top left
 * corner, as in the API; positions on the stage are CSS pixels from its top left corner. */

export interface Size {
  width: number;
  height: number;
}

export type Position = readonly [x: number, y: number];

/** `zoom` is 1 when the whole frame just fits; `center` is the position of the frame in the middle of the stage. */
export interface View {
  zoom: number;
  center: Position;
}

/** The frame as it lies on the stage. */
export interface Placed extends Size {
  left: number;
  top: number;
}

/** `spacing` is millimetres between rows and between columns. */
export interface FrameShape extends Size {
  spacing: readonly [row: number, column: number] | null;
}

export const FITTED: View = { zoom: 1, center: [0.5, 0.5] };
const ZOOMS = { least: 0.5, most: 40 };

export const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

const inFrame = ([x, y]: Position): Position => [clamp(x, 0, 1), clamp(y, 0, 1)];

/** The frame's shape with square millimetres: rows and columns may lie at different distances. */
function displaySize({ width, height, spacing }: FrameShape): Size {
  const [row, column] = spacing ?? [1, 1];
  return { width, height: (height * row) / column };
}

export function place(frame: FrameShape, stage: Size, view: View): Placed {
  const content = displaySize(frame);
  const scale = Math.min(stage.width / content.width, stage.height / content.height) * view.zoom;
  const [width, height] = [content.width * scale, content.height * scale];
  return {
    left: stage.width / 2 - view.center[0] * width,
    top: stage.height / 2 - view.center[1] * height,
    width,
    height,
  };
}

export const toStage = ([x, y]: Position, placed: Placed): Position => [
  placed.left + x * placed.width,
  placed.top + y * placed.height,
];

/** May lie outside of the frame. */
export const toFrame = ([x, y]: Position, placed: Placed): Position => [
  (x - placed.left) / placed.width,
  (y - placed.top) / placed.height,
];

/** Zooms by `factor`; the position `at` of the frame stays where it is on the stage. */
export function zoomAt(view: View, factor: number, at: Position): View {
  const zoom = clamp(view.zoom * factor, ZOOMS.least, ZOOMS.most);
  const share = view.zoom / zoom;
  const keep = (center: number, fixed: number): number => fixed - (fixed - center) * share;
  return { zoom, center: inFrame([keep(view.center[0], at[0]), keep(view.center[1], at[1])]) };
}

/** Moves the frame by (dx, dy) CSS pixels; its middle part cannot leave the stage. */
export function panBy(view: View, dx: number, dy: number, placed: Size): View {
  return { ...view, center: inFrame([view.center[0] - dx / placed.width, view.center[1] - dy / placed.height]) };
}

/** The pixel (column, row) under a position, or null outside of the frame. */
export function pixelAt([x, y]: Position, frame: Size): readonly [column: number, row: number] | null {
  if (x < 0 || y < 0 || x >= 1 || y >= 1) return null;
  return [Math.floor(x * frame.width), Math.floor(y * frame.height)];
}

/** A length along the frame, in `unit`. */
export interface Length {
  value: number;
  unit: "mm" | "px";
}

/** The distance of two positions: millimetres where the spacing is known, pixels otherwise. */
export function distance(a: Position, b: Position, frame: FrameShape): Length {
  const [row, column] = frame.spacing ?? [1, 1];
  const value = Math.hypot((b[0] - a[0]) * frame.width * column, (b[1] - a[1]) * frame.height * row);
  return { value, unit: frame.spacing === null ? "px" : "mm" };
}

/** A round length (1, 2 or 5 times a power of ten) that takes at most `longest` CSS pixels, which are `pixels` here. */
export function scaleBar(frame: FrameShape, placed: Size, longest: number): Length & { pixels: number } {
  const whole = frame.width * (frame.spacing?.[1] ?? 1);
  const most = (longest / placed.width) * whole;
  const power = 10 ** Math.floor(Math.log10(most));
  const value = ([5, 2, 1].find((step) => step * power <= most) ?? 1) * power;
  return { value, unit: frame.spacing === null ? "px" : "mm", pixels: (value / whole) * placed.width };
}
