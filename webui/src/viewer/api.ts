/** The calls of the public API that bring frames and volumes. */

import type { Request } from "../api/http";

/** Values of the unit that are shown from black to white: `center` - `width` / 2 to `center` + `width` / 2. */
export interface Window {
  center: number;
  width: number;
}

/** Where a frame is looked at from: patient letters (R, L, A, P, H, F) at its four edges. */
export interface Edges {
  left: string;
  right: string;
  top: string;
  bottom: string;
}

/** What is equal for all frames of a file.
 *
 * A stored value times `slope` plus `intercept` is in `unit`; without a unit it is only an intensity. The window has no
 * centre where values 0..255 are shown as they are. `spacing_mm` is millimetres between rows and between columns.
 */
export interface FramesInfo {
  count: number;
  width: number;
  height: number;
  samples: 1 | 3;
  dtype: "uint8" | "int16" | "uint16" | "float32";
  slope: number;
  intercept: number;
  unit: string | null;
  window: { center: number | null; width: number | null; source: string };
  presets: ({ name: string } & Window)[];
  invert: boolean;
  orientation: Edges | null;
  spacing_mm: [number, number] | null;
  spacing_source: string | null;
  slice_spacing_mm: number | null;
}

export type Studies = ReturnType<typeof createStudies>;

export function createStudies(request: Request) {
  const bytes = async (path: string, signal: AbortSignal): Promise<ArrayBuffer> =>
    (await request(path, { signal })).arrayBuffer();
  return {
    frames: async (file: string): Promise<FramesInfo> =>
      (await request(`v1/files/${file}/frames`)).json() as Promise<FramesInfo>,
    /** Stored values, little endian, row by row, in the type and size that `frames` states. */
    pixels: (file: string, index: number, signal: AbortSignal) =>
      bytes(`v1/files/${file}/frames/${index}/pixels`, signal),
    /** A gzipped NIfTI file, its axes close to right, anterior, superior. */
    volume: (file: string, signal: AbortSignal) => bytes(`v1/files/${file}/volume.nii.gz`, signal),
    /** The mask of one slice as a volume of the file's geometry, a gzipped NIfTI file. */
    maskVolume: (file: string, sha256: string, slice: number, signal: AbortSignal) =>
      bytes(`v1/files/${file}/masks/${sha256}.nii.gz?slice=${slice}`, signal),
  };
}
