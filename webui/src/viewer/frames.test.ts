import { expect, test } from "vitest";
import { createFrames } from "./frames";
import { readPixels, type FramePixels } from "./pixels";

const frame = (value: number): FramePixels =>
  readPixels(Uint8Array.of(value).buffer, { width: 1, height: 1, samples: 1, dtype: "uint8" });

/** A server that answers when it is told to. */
function server() {
  const asked: number[] = [];
  const waiting = new Map<number, { give: () => void; fail: () => void }>();
  const load = (index: number): Promise<FramePixels> => {
    asked.push(index);
    return new Promise((resolve, reject) =>
      waiting.set(index, { give: () => resolve(frame(index)), fail: () => reject(new Error("gone")) }),
    );
  };
  /** Answers, and lets all that waited for it run. */
  const answer = async (index: number, how: "give" | "fail" = "give"): Promise<void> => {
    waiting.get(index)?.[how]();
    waiting.delete(index);
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  };
  return { asked, load, answer };
}

test("after a frame come its neighbours, one after the other, first those ahead", async () => {
  const { asked, load, answer } = server();
  const frames = createFrames({ count: 6, load, budget: 100 });
  const shown = frames.show(1);
  expect(asked).toEqual([1]);
  for (const index of [1, 2, 3, 4]) await answer(index);
  expect((await shown).stored[0]).toBe(1);
  expect(asked).toEqual([1, 2, 3, 4, 0]);
  expect(frames.ready(3)?.stored[0]).toBe(3);
});

test("scrolling on gives up the old neighbours, and back looks ahead in that direction", async () => {
  const { asked, load, answer } = server();
  const frames = createFrames({ count: 20, load, budget: 100 });
  void frames.show(10);
  await answer(10);
  void frames.show(9);
  await answer(11);
  await answer(9);
  expect(asked).toEqual([10, 11, 9, 8]);
});

test("a frame is asked for once, and again after it failed", async () => {
  const { asked, load, answer } = server();
  const frames = createFrames({ count: 1, load, budget: 100 });
  const both = Promise.allSettled([frames.show(0), frames.show(0)]);
  await answer(0, "fail");
  expect((await both).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  void frames.show(0).catch(() => undefined);
  expect(asked).toEqual([0, 0]);
});

test("the oldest frames go when they are more than the budget, never the one that is shown", async () => {
  const { load, answer } = server();
  const frames = createFrames({ count: 6, load, budget: 3 });
  void frames.show(0);
  for (const index of [0, 1, 2, 3]) await answer(index);
  expect([0, 1, 2, 3].map((index) => frames.ready(index) !== undefined)).toEqual([true, false, true, true]);
});
