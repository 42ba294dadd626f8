/** Pictures, masks and texts from the server, fetched with the key and kept for as long as they may be shown again. */

import type { Client } from "../api/client";
import { maskFromRgba, outline, type MaskPixels } from "../state/mask";

const KEPT = 200;

/** `path` is the outline as an SVG path in pixels. */
export interface Mask extends MaskPixels {
  path: string;
}

export interface Images {
  /** Address of the picture for `<img>`. */
  url(sha256: string): Promise<string>;
  mask(sha256: string): Promise<Mask>;
  text(sha256: string): Promise<string>;
}

export function createImages(client: Pick<Client, "artifact">): Images {
  const url = remember(
    async (sha256: string) => URL.createObjectURL(await client.artifact(sha256)),
    URL.revokeObjectURL,
  );
  const mask = remember(async (sha256: string) => readMask(await client.artifact(sha256)));
  const text = remember(async (sha256: string) => (await client.artifact(sha256)).text());
  return { url, mask, text };
}

/** Answers from memory; forgets failures, and the oldest answers beyond `KEPT`. */
function remember<T>(make: (key: string) => Promise<T>, drop?: (value: T) => void): (key: string) => Promise<T> {
  const kept = new Map<string, Promise<T>>();
  return (key) => {
    const known = kept.get(key);
    if (known !== undefined) return known;
    const made = make(key);
    kept.set(key, made);
    made.catch(() => kept.delete(key));
    const [oldest] = kept;
    if (kept.size > KEPT && oldest !== undefined) {
      kept.delete(oldest[0]);
      if (drop !== undefined) void oldest[1].then(drop, () => undefined);
    }
    return made;
  };
}

async function readMask(blob: Blob): Promise<Mask> {
  const bitmap = await createImageBitmap(blob);
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  if (context === null) throw new Error("This browser has no 2D canvas.");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const mask = maskFromRgba(data, bitmap.width, bitmap.height);
  return { ...mask, path: outline(mask) };
}
