import { expect, test } from "vitest";
import { readPassages } from "./results";

const passageOf = (fields: Record<string, string | number | number[]>) =>
  readPassages({ passages: [{ text: "It helped. A lot.", highlight: [0, 10], ...fields }] })?.[0];

test.each([
  ["trials: https://example.org/a?b=1", "https://example.org/a?b=1"],
  ["http://example.org", "http://example.org"],
  ["mmedagent handbook: Cataract, Treatment", null],
  ["trials: javascript:alert(1)//https://example.org", null],
  ["trials: javascript:https://example.org", null],
  ["trials: https://", null],
  ["trials: https://example.org was read", null],
])("the source %s names the address %s", (source, address) => {
  expect(passageOf({ source })?.address).toBe(address);
});

test("a passage names its text by a hash, and none is made of anything else", () => {
  expect(passageOf({ document: "ab".repeat(32) })?.document).toBe("ab".repeat(32));
  expect(passageOf({ document: "../files/1" })?.document).toBeNull();
  expect(passageOf({})?.document).toBeNull();
});
