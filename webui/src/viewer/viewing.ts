/** The viewer of one file: its state, and what pointer and keys do to it and to the page. */

import { createContext, useContext, useSyncExternalStore } from "react";
import type { Actions } from "../state/actions";
import type { AppStore } from "../state/app";
import { marksOf } from "../state/viewing";
import { useAppState } from "../view/context";
import type { FramesInfo } from "./api";
import { createControls, type Controls, type ShapeStore } from "./controls";
import { boundingBox, positionInside } from "./shapes";
import {
  createViewerStore,
  viewerActions,
  type Shapes,
  type ViewerActions,
  type ViewerState,
  type ViewerStore,
} from "./state";

export interface Viewing {
  fileId: string;
  store: ViewerStore;
  actions: ViewerActions;
  shapes: ShapeStore;
  controls: Controls;
}

interface Options {
  fileId: string;
  info: FramesInfo;
  index: number;
  app: AppStore;
  page: Pick<Actions, "draw" | "show">;
}

export function createViewing({ fileId, info, index, app, page }: Options): Viewing {
  const store = createViewerStore(info, index);
  const actions = viewerActions(store);
  let shown = index;

  /** What belongs to another slice cannot be caught here. */
  function get(): Shapes {
    const { edit, ruler, index: slice } = store.get();
    if (edit !== null) {
      return edit.slice === slice
        ? { boxes: edit.polygon === null ? [edit.box] : [], polygon: edit.polygon, points: [], ruler }
        : { boxes: [], polygon: null, points: [], ruler };
    }
    const marks = marksOf(app.get());
    const here = (marks?.slice ?? index) === slice;
    return {
      boxes: here ? app.get().boxes : [],
      polygon: here ? (marks?.polygon ?? null) : null,
      points: here ? (marks?.points ?? []) : [],
      ruler,
    };
  }

  function set({ ruler, boxes, polygon, points }: Partial<Shapes>): void {
    const { edit, index: slice } = store.get();
    if (ruler !== undefined) actions.setRuler(ruler);
    // A result has one box: another one that is drawn takes its place.
    const around = polygon == null ? boxes?.at(-1) : boundingBox(polygon);
    if (edit !== null) {
      if (around != null) store.set({ edit: { ...edit, box: around, polygon: polygon ?? edit.polygon } });
    } else if (polygon != null) {
      const inside = positionInside(polygon);
      page.draw(fileId, slice, { polygon, boxes: around == null ? [] : [around], points: inside === null ? [] : [inside] });
    } else if (boxes !== undefined) {
      // The point inside a polygon goes with it.
      page.draw(fileId, slice, { boxes, polygon: null, ...(get().polygon === null ? {} : { points: [] }) });
    } else if (points !== undefined) page.draw(fileId, slice, { points, polygon: null });
  }

  store.subscribe(() => {
    const { index: slice } = store.get();
    if (slice !== shown) page.show(fileId, (shown = slice));
  });
  const shapes = { get, set };
  return { fileId, store, actions, shapes, controls: createControls(store, actions, shapes) };
}

export const ViewingContext = createContext<Viewing | null>(null);

export function useViewing(): Viewing {
  const viewing = useContext(ViewingContext);
  if (viewing === null) throw new Error("A part of the viewer is shown without a file.");
  return viewing;
}

/** What can be caught and changed on the slice that is shown. */
export function useShapes(): Shapes {
  const { shapes } = useViewing();
  // The shapes are made of these, so they are read again when one of them changes.
  useAppState((state) => state.boxes);
  useAppState(marksOf);
  useViewer((state) => state.edit);
  useViewer((state) => state.ruler);
  useViewer((state) => state.index);
  return shapes.get();
}

/** A part of the viewer's state; `select` gives a value that stays the same object until it changes. */
export function useViewer<T>(select: (state: ViewerState) => T): T {
  const { store } = useViewing();
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}
