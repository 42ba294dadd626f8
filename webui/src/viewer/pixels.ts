/** Stored values of a frame, and how a window makes them visible (DICOM PS3.3, C.11.2.1.3.2, LINEAR_EXACT). */

import type { FramesInfo, Window } from "./api";

const LEVELS = 65_536;

type Stored = Uint8Array | Int16Array | Uint16Array | Float32Array;
type Levels = Uint8Array | Int16Array | Uint16Array;

/** One decoded frame.
 *
 * `stored` has `width` x `height` x `samples` values, row by row. `levels` has as many whole numbers from `low` to
 * `high`; level n stands for the stored value `base` + n * `step`. They are the stored values themselves unless those
 * are broken numbers.
 */
export interface FramePixels {
  width: number;
  height: number;
  samples: 1 | 3;
  stored: Stored;
  levels: Levels;
  low: number;
  high: number;
  base: number;
  step: number;
}

type Layout = Pick<FramesInfo, "width" | "height" | "samples" | "dtype">;

/** Throws a RangeError when the bytes are not as many as the layout says. */
export function readPixels(bytes: ArrayBuffer, { width, height, samples, dtype }: Layout): FramePixels {
  const stored = view(bytes, dtype);
  if (stored.length !== width * height * samples) throw new RangeError("The frame has another size than it should.");
  const [least, most] = range(stored);
  if (!(stored instanceof Float32Array)) {
    return { width, height, samples, stored, levels: stored, low: least, high: most, base: 0, step: 1 };
  }
  const step = (most - least) / (LEVELS - 1) || 1;
  const levels = Uint16Array.from(stored, (value) => Math.round((value - least) / step));
  return { width, height, samples, stored, levels, low: 0, high: LEVELS - 1, base: least, step };
}

function view(bytes: ArrayBuffer, dtype: Layout["dtype"]): Stored {
  switch (dtype) {
    case "uint8":
      return new Uint8Array(bytes);
    case "int16":
      return new Int16Array(bytes);
    case "uint16":
      return new Uint16Array(bytes);
    case "float32":
      return new Float32Array(bytes);
  }
}

function range(values: Stored): [least: number, most: number] {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return most < least ? [0, 0] : [least, most];
}

type Rescale = Pick<FramesInfo, "slope" | "intercept">;

/** The gray level (0..255) of each level of a frame, the first for `low`. */
export function grayTable(
  frame: FramePixels,
  { slope, intercept }: Rescale,
  window: Window,
  invert: boolean,
): Uint8ClampedArray {
  const table = new Uint8ClampedArray(frame.high - frame.low + 1);
  const width = Math.max(window.width, Number.EPSILON);
  for (let index = 0; index < table.length; index += 1) {
    const value = (frame.base + (frame.low + index) * frame.step) * slope + intercept;
    const gray = ((value - window.center) / width + 0.5) * 255;
    table[index] = invert ? 255 - gray : gray;
  }
  return table;
}

const OPAQUE = 0xff00_0000;

/** Writes a frame as RGBA pixels, one number each (little endian), opaque. */
export function paint(frame: FramePixels, table: Uint8ClampedArray, rgba: Uint32Array): void {
  const { levels, low, samples } = frame;
  if (samples === 1) {
    const colors = new Uint32Array(table.length);
    for (let index = 0; index < colors.length; index += 1) colors[index] = OPAQUE | ((table[index] ?? 0) * 0x01_0101);
    for (let index = 0; index < rgba.length; index += 1) rgba[index] = colors[(levels[index] ?? low) - low] ?? OPAQUE;
    return;
  }
  const shown = (index: number): number => table[(levels[index] ?? low) - low] ?? 0;
  for (let index = 0, at = 0; index < rgba.length; index += 1, at += 3) {
    rgba[index] = OPAQUE | (shown(at + 2) << 16) | (shown(at + 1) << 8) | shown(at);
  }
}

/** The values of one pixel in the unit of the frame: one number, or red, green and blue. */
export function valuesAt(frame: FramePixels, column: number, row: number, { slope, intercept }: Rescale): number[] {
  const start = (row * frame.width + column) * frame.samples;
  return [...frame.stored.subarray(start, start + frame.samples)].map((value) => value * slope + intercept);
}

/** The window as the server shows the file. */
export const windowOf = ({ window: { center, width } }: Pick<FramesInfo, "window">): Window => ({ center, width });

/** The window after a drag of (dx, dy) CSS pixels: right makes it wider, down puts its centre higher. */
export function dragWindow(start: Window, dx: number, dy: number): Window {
  const step = Math.max(start.width, 1) / 250;
  return { center: start.center + dy * step, width: Math.max(step, start.width + dx * step) };
}
