/** Decoded frames of one file: what is shown now, its neighbours fetched ahead, and no more kept than fits. */

import type { FramePixels } from "./pixels";

const AHEAD = 3;
const BEHIND = 1;

export interface Frames {
  /** The frame when it is there already. */
  ready(index: number): FramePixels | undefined;
  /** The frame, then its neighbours: more of them in the direction of the last step. Rejects when it cannot be had. */
  show(index: number): Promise<FramePixels>;
  /** Stops what is on the way. */
  close(): void;
}

interface Options {
  count: number;
  load: (index: number, signal: AbortSignal) => Promise<FramePixels>;
  /** Bytes of stored values to keep; the frame that is shown is kept in any case. */
  budget: number;
}

export function createFrames({ count, load, budget }: Options): Frames {
  const kept = new Map<number, FramePixels>();
  const loading = new Map<number, Promise<FramePixels>>();
  const stop = new AbortController();
  let shown = 0;
  let direction = 1;

  function fetchFrame(index: number): Promise<FramePixels> {
    const known = kept.get(index);
    if (known !== undefined) return Promise.resolve(touch(index, known));
    const underway = loading.get(index);
    if (underway !== undefined) return underway;
    const started = load(index, stop.signal)
      .then((frame) => touch(index, frame))
      .finally(() => loading.delete(index));
    loading.set(index, started);
    return started;
  }

  /** Makes a frame the youngest, and drops the oldest ones over the budget. */
  function touch(index: number, frame: FramePixels): FramePixels {
    kept.delete(index);
    kept.set(index, frame);
    let bytes = [...kept.values()].reduce((sum, each) => sum + each.stored.byteLength, 0);
    for (const [old, { stored }] of kept) {
      if (bytes <= budget) break;
      if (old === shown || old === index) continue;
      kept.delete(old);
      bytes -= stored.byteLength;
    }
    return frame;
  }

  /** One after the other, so that a frame that is asked for next does not wait for many. */
  async function fetchNeighbours(index: number): Promise<void> {
    for (const neighbour of neighbours(index, direction, count)) {
      if (shown !== index || stop.signal.aborted) return;
      await fetchFrame(neighbour).catch(() => undefined);
    }
  }

  return {
    ready: (index) => kept.get(index),
    async show(index) {
      if (index !== shown) direction = Math.sign(index - shown);
      shown = index;
      const frame = await fetchFrame(index);
      void fetchNeighbours(index);
      return frame;
    },
    close: () => stop.abort(),
  };
}

/** The nearest first; those ahead before those behind. */
function neighbours(index: number, direction: number, count: number): number[] {
  const ahead = Array.from({ length: AHEAD }, (_, step) => index + direction * (step + 1));
  const behind = Array.from({ length: BEHIND }, (_, step) => index - direction * (step + 1));
  return [...ahead, ...behind].filter((each) => each >= 0 && each < count);
}
