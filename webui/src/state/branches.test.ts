import { expect, test } from "vitest";
import { forksOf, shownPath } from "./branches";
import { startTurn, type Turn } from "./turns";

const turn = (id: string, parent: string | null): Turn => ({
  ...startTurn(id, { text: id, boxes: [], fileId: null, parent }),
  responseId: `resp_${id}`,
});

const TREE = [turn("a", null), turn("b", "resp_a"), turn("c", "resp_b"), turn("b2", "resp_a"), turn("d", "resp_b2")];
const names = (turns: readonly Turn[]) => turns.map(({ id }) => id).join(" ");

test("the newest branch is shown until another is chosen", () => {
  expect(names(shownPath(TREE, {}, "conv"))).toBe("a b2 d");
  expect(names(shownPath(TREE, { resp_a: "b" }, "conv"))).toBe("a b c");
});

test("a first message that was edited is a sibling of the first", () => {
  const forked = [...TREE, turn("a2", null)];
  expect(names(shownPath(forked, {}, "conv"))).toBe("a2");
  expect(names(shownPath(forked, { conv: "a" }, "conv"))).toBe("a b2 d");
});

test("siblings follow the same turn", () => {
  expect(names(forksOf(TREE).get("b2") ?? [])).toBe("b b2");
  expect(names(forksOf(TREE).get("a") ?? [])).toBe("a");
});

test("a turn without its parent can still be reached", () => {
  expect(names(shownPath([turn("x", "resp_gone"), turn("y", "resp_x")], {}, "conv"))).toBe("x y");
});
