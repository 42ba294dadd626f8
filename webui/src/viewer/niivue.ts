/** The only door to NiiVue: a volume in three planes and 3D. Import this file lazily: it is larger than the page. */

import { MULTIPLANAR_TYPE, Niivue, NVImage, SHOW_RENDER, SLICE_TYPE } from "@niivue/niivue";
import type { Window } from "./api";

/** A gzipped NIfTI mask: 1 inside. `color` is `#rrggbb`, `opacity` 0 to 1. */
export interface VolumeMask {
  bytes: ArrayBuffer;
  color: string;
  opacity: number;
}

export interface OpenedVolume {
  close(): void;
}

/** Shows a gzipped NIfTI volume, patient right on the left, and follows the size of the canvas until it is closed.
 *
 * Throws when the browser has no WebGL 2 or the bytes are no volume.
 */
export async function openVolume(
  canvas: HTMLCanvasElement,
  volume: ArrayBuffer,
  window: Window,
  masks: readonly VolumeMask[],
): Promise<OpenedVolume> {
  const niivue = new Niivue({
    isRadiologicalConvention: true,
    backColor: [0.043, 0.055, 0.067, 1],
    isOrientCube: true,
    multiplanarShowRender: SHOW_RENDER.ALWAYS,
    dragAndDropEnabled: false,
    logLevel: "error",
  });
  await niivue.attachToCanvas(canvas);
  niivue.setSliceType(SLICE_TYPE.MULTIPLANAR);
  niivue.setMultiplanarLayout(MULTIPLANAR_TYPE.AUTO);
  niivue.addVolume(
    await NVImage.loadFromFile({
      file: new File([volume], "volume.nii.gz"),
      name: "volume.nii.gz",
      colormap: "gray",
      cal_min: window.center - window.width / 2,
      cal_max: window.center + window.width / 2,
    }),
  );
  for (const mask of masks) niivue.addVolume(await maskImage(mask));
  niivue.updateGLVolume();
  return {
    close() {
      niivue.cleanup();
      // Browsers allow few WebGL contexts at a time and free them late.
      canvas.getContext("webgl2")?.getExtension("WEBGL_lose_context")?.loseContext();
    },
  };
}

async function maskImage({ bytes, color, opacity }: VolumeMask): Promise<NVImage> {
  const image = await NVImage.loadFromFile({ file: new File([bytes], "mask.nii.gz"), name: "mask.nii.gz", opacity });
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16)) as [
    number,
    number,
    number,
  ];
  image.setColormapLabel({ R: [0, red], G: [0, green], B: [0, blue], A: [0, 255], I: [0, 1], labels: ["", "mask"] });
  return image;
}
