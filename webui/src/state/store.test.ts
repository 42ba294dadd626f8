import { expect, test } from "vitest";
import { createStore } from "./store";

test("listeners hear of changes only, and not after they leave", () => {
  const store = createStore({ count: 0, name: "a" });
  const heard: number[] = [];
  const leave = store.subscribe(() => heard.push(store.get().count));
  store.set({ count: 0 });
  store.set({ count: 1 });
  store.set((state) => ({ count: state.count + 1 }));
  leave();
  store.set({ count: 9 });
  expect(heard).toEqual([1, 2]);
  expect(store.get()).toEqual({ count: 9, name: "a" });
});

test("a change leaves earlier states untouched", () => {
  const store = createStore({ items: ["a"] });
  const before = store.get();
  store.set(({ items }) => ({ items: [...items, "b"] }));
  expect(before.items).toEqual(["a"]);
  expect(store.get().items).toEqual(["a", "b"]);
});
