/** Keeps the canvas what the viewer's state asks for, at most once a screen refresh, without React. */

import type { Studies } from "./api";
import { createFrames } from "./frames";
import { grayTable, paint, readPixels } from "./pixels";
import type { ViewerState, ViewerStore } from "./state";

const BUDGET = 128 * 2 ** 20;

/** Fetches the frame that `index` names, and its neighbours. Gives what stops it. */
export function startFetching(store: ViewerStore, studies: Studies, fileId: string): () => void {
  const { info } = store.get();
  const frames = createFrames({
    count: info.count,
    budget: BUDGET,
    load: async (index, signal) => readPixels(await studies.pixels(fileId, index, signal), info),
  });
  let asked = -1;
  let open = true;

  function follow(): void {
    const { index } = store.get();
    if (index === asked) return;
    asked = index;
    const ready = frames.ready(index);
    if (ready !== undefined) store.set({ frame: ready, failed: false });
    frames.show(index).then(
      (frame) => open && index === asked && store.set({ frame, failed: false }),
      () => open && index === asked && store.set({ frame: null, failed: true }),
    );
  }

  const unsubscribe = store.subscribe(follow);
  follow();
  return () => {
    open = false;
    unsubscribe();
    frames.close();
  };
}

/** Draws the frame under the window. Gives what stops it. */
export function startPainting(store: ViewerStore, canvas: HTMLCanvasElement): () => void {
  const { info } = store.get();
  const context = canvas.getContext("2d");
  const image = new ImageData(info.width, info.height);
  const rgba = new Uint32Array(image.data.buffer);
  let painted: ViewerState | null = null;

  return onRefresh(store, (state) => {
    const { frame, window, invert } = state;
    if (frame === null) context?.clearRect(0, 0, info.width, info.height);
    if (frame === null || (frame === painted?.frame && window === painted.window && invert === painted.invert)) return;
    painted = state;
    paint(frame, grayTable(frame, info, window, invert), rgba);
    context?.putImageData(image, 0, 0);
  });
}

/** Runs `draw` now and, after changes, once before the next refresh of the screen. Gives what stops it. */
export function onRefresh(store: ViewerStore, draw: (state: ViewerState) => void): () => void {
  let waiting = 0;
  const unsubscribe = store.subscribe(() => {
    if (waiting === 0) {
      waiting = requestAnimationFrame(() => {
        waiting = 0;
        draw(store.get());
      });
    }
  });
  draw(store.get());
  return () => {
    unsubscribe();
    cancelAnimationFrame(waiting);
  };
}
