import { expect, test } from "vitest";
import { percent } from "./words";

test.each([
  [0, "0 %"],
  [0.00004, "under 0.1 %"],
  [0.001, "0.1 %"],
  [0.0412, "4.1 %"],
  [0.35, "35 %"],
  [0.994, "99 %"],
  [0.996, "99.6 %"],
  [0.99996, "over 99.9 %"],
  [1, "100 %"],
])("%f is %s", (share, words) => {
  expect(percent(share).replaceAll("\u00a0", " ")).toBe(words);
});
