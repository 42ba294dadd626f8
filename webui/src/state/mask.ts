/** Masks as tinted pixels and as an outline. */

export interface MaskPixels {
  width: number;
  height: number;
  /** One byte a pixel, row by row: 1 inside, 0 outside. */
  inside: Uint8Array;
}

/** White is inside. `rgba` is row by row, four bytes a pixel. */
export function maskFromRgba(rgba: Uint8ClampedArray, width: number, height: number): MaskPixels {
  const inside = new Uint8Array(width * height);
  for (let index = 0; index < inside.length; index += 1) inside[index] = (rgba[index * 4] ?? 0) > 127 ? 1 : 0;
  return { width, height, inside };
}

/** Pixels of one colour (`#rrggbb`), opaque inside the mask and clear outside. */
export function tint(mask: MaskPixels, color: string): Uint8ClampedArray<ArrayBuffer> {
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  const rgba = new Uint8ClampedArray(mask.inside.length * 4);
  for (let index = 0; index < mask.inside.length; index += 1) {
    if (mask.inside[index] === 0) continue;
    rgba[index * 4] = red ?? 0;
    rgba[index * 4 + 1] = green ?? 0;
    rgba[index * 4 + 2] = blue ?? 0;
    rgba[index * 4 + 3] = 255;
  }
  return rgba;
}

/** SVG path along the pixel edges of the mask, in units of pixels from the top left corner. */
export function outline(mask: MaskPixels): string {
  const { width, height, inside } = mask;
  const at = (x: number, y: number): number =>
    x < 0 || y < 0 || x >= width || y >= height ? 0 : (inside[y * width + x] ?? 0);
  const rows = edges(
    height,
    width,
    (y, x) => at(x, y) !== at(x, y - 1),
    (y, x, length) => `M${x} ${y}h${length}`,
  );
  const columns = edges(
    width,
    height,
    (x, y) => at(x, y) !== at(x - 1, y),
    (x, y, length) => `M${x} ${y}v${length}`,
  );
  return rows + columns;
}

/** Runs of edges along each grid line, each run as one stroke. */
function edges(
  lines: number,
  length: number,
  isEdge: (line: number, position: number) => boolean,
  stroke: (line: number, start: number, length: number) => string,
): string {
  let path = "";
  for (let line = 0; line <= lines; line += 1) {
    let start = -1;
    for (let position = 0; position <= length; position += 1) {
      const edge = position < length && isEdge(line, position);
      if (edge && start < 0) start = position;
      if (!edge && start >= 0) {
        path += stroke(line, start, position - start);
        start = -1;
      }
    }
  }
  return path;
}
