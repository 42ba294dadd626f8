/** What the viewer of one file shows, apart from the page: it changes many times a second while a pointer moves. */

import type { Box } from "../state/boxes";
import { createStore, type Store } from "../state/store";
import type { FramesInfo, Window } from "./api";
import { clamp, FITTED, place, type FrameShape, type Placed, type Position, type Size, type View } from "./geometry";
import { windowOf, type FramePixels } from "./pixels";

export const MODES = ["pan", "window", "box", "point", "polygon", "ruler"] as const;
export type Mode = (typeof MODES)[number];

export type Ruler = readonly [from: Position, to: Position];

/** A result that is being changed before its call runs again. `polygon` is there when its contour is changed. */
export interface Edit {
  callId: string;
  /** Which of the call's results. */
  index: number;
  slice: number;
  box: Box;
  polygon: readonly Position[] | null;
}

/** What can be drawn and changed by hand. */
export interface Shapes {
  boxes: readonly Box[];
  points: readonly Position[];
  polygon: readonly Position[] | null;
  ruler: Ruler | null;
}

/** What a gesture has changed so far; it counts when the gesture ends. */
export type Draft = Partial<Shapes>;

export interface ViewerState {
  info: FramesInfo;
  shape: FrameShape;
  /** The slice or frame to show, from 0, and its pixels: those of another one while they are on their way. */
  index: number;
  frame: FramePixels | null;
  failed: boolean;
  stage: Size;
  view: View;
  window: Window;
  invert: boolean;
  mode: Mode;
  /** Where the pointer, or the cross of the arrow keys, is; null outside of the frame. */
  cursor: Position | null;
  /** The first corner of what is drawn with the keyboard. */
  anchor: Position | null;
  draft: Draft | null;
  ruler: Ruler | null;
  edit: Edit | null;
}

export type ViewerStore = Store<ViewerState>;

export const shapeOf = ({ width, height, spacing_mm }: FramesInfo): FrameShape => ({
  width,
  height,
  spacing: spacing_mm,
});

/** The plate of an X-ray lies behind the patient, so what is measured on it is larger than in the patient. */
export const isAtDetector = (info: FramesInfo): boolean =>
  info.spacing_mm !== null && info.spacing_source === "ImagerPixelSpacing";

export function createViewerStore(info: FramesInfo, index: number): ViewerStore {
  return createStore<ViewerState>({
    info,
    shape: shapeOf(info),
    index: clamp(index, 0, info.count - 1),
    frame: null,
    failed: false,
    stage: { width: 0, height: 0 },
    view: FITTED,
    window: windowOf(info),
    invert: info.invert,
    mode: "box",
    cursor: null,
    anchor: null,
    draft: null,
    ruler: null,
    edit: null,
  });
}

export const placedOf = ({ shape, stage, view }: ViewerState): Placed => place(shape, stage, view);

export type ViewerActions = ReturnType<typeof viewerActions>;

export function viewerActions(store: ViewerStore) {
  const goTo = (index: number): void =>
    store.set(({ info, index: old }) => {
      const next = clamp(index, 0, info.count - 1);
      return next === old ? {} : { index: next, draft: null, anchor: null, ruler: null };
    });
  return {
    goTo,
    setMode: (mode: Mode) => store.set({ mode, draft: null, anchor: null }),
    setWindow: (window: Window) => store.set({ window }),
    toggleInvert: () => store.set(({ invert }) => ({ invert: !invert })),
    fit: () => store.set({ view: FITTED }),
    /** Window, zoom and inversion as the file opens. */
    reset: () => store.set(({ info }) => ({ view: FITTED, window: windowOf(info), invert: info.invert })),
    /** With the tool that changes it, on its slice. */
    startEdit(mode: Mode, edit: Edit): void {
      goTo(edit.slice);
      store.set({ mode, edit, draft: null, anchor: null });
    },
    endEdit: () => store.set({ edit: null, draft: null }),
    setRuler: (ruler: Ruler | null) => store.set({ ruler }),
  };
}
