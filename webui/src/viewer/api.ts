/** The calls of the public API that bring frames and volumes. */

import type { Request } from "../api/http";
import type { Edges, FramesInfo } from "../api/types";

export type { Edges, FramesInfo };

/** Values of the unit that are shown from black to white: `center` - `width` / 2 to `center` + `width` / 2. */
export interface Window {
  center: number;
  width: number;
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
