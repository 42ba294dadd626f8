import { expect, test } from "vitest";
import { sample } from "../api/sample";
import type { FileObject } from "../api/types";
import { createAppStore } from "./app";
import { loadPreferences } from "./preferences";
import { marksOf, sliceToSend, viewingActions } from "./viewing";

const study = sample<FileObject>({ id: "f", frame: { slice: 12 }, frame_count: 24, volume: null });

function opened() {
  const store = createAppStore(loadPreferences({ getItem: () => null }));
  store.set({ files: { f: study, g: { ...study, id: "g", frame_count: 1 } }, fileId: "f" });
  return { store, actions: viewingActions({ store }) };
}

test("a message is about the slice that is drawn on, else the one that is shown", () => {
  const { store, actions } = opened();
  expect(sliceToSend(store.get())).toBe(12);
  actions.show("f", 3);
  expect(sliceToSend(store.get())).toBe(3);
  actions.draw("f", 7, { points: [[0.5, 0.5]] });
  expect(sliceToSend(store.get())).toBe(7);
  store.set({ fileId: "g" });
  expect(sliceToSend(store.get())).toBeNull();
});

test("drawing on another slice begins anew, and marks stay with their file", () => {
  const { store, actions } = opened();
  actions.draw("f", 7, { boxes: [[0, 0, 0.5, 0.5]], points: [[0.5, 0.5]] });
  actions.draw("f", 7, { points: [] });
  expect(store.get().boxes).toEqual([[0, 0, 0.5, 0.5]]);
  actions.draw("f", 8, { points: [[0.25, 0.25]] });
  expect(store.get().boxes).toEqual([]);
  expect(marksOf(store.get())).toEqual({ fileId: "f", slice: 8, points: [[0.25, 0.25]], polygon: null });
  store.set({ fileId: "g" });
  expect(marksOf(store.get())).toBeNull();
});

test("points go with one box at most: what was drawn last stays", () => {
  const { store, actions } = opened();
  const boxes = [
    [0, 0, 0.5, 0.5],
    [0.5, 0.5, 1, 1],
  ] as const;
  actions.draw("f", 7, { boxes });
  actions.draw("f", 7, { points: [[0.75, 0.75]] });
  expect(store.get()).toMatchObject({ boxes: [[0.5, 0.5, 1, 1]], marks: { points: [[0.75, 0.75]] } });
  actions.draw("f", 7, { boxes });
  expect(store.get()).toMatchObject({ boxes, marks: { points: [] } });
});
