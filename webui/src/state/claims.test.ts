import { expect, test } from "vitest";
import { claimAt as claim } from "../api/sample";
import type { Claim } from "../api/types";
import { fieldWords, markClaims, withoutMarks } from "./claims";

const marked = (text: string, ...claims: Claim[]) =>
  markClaims(text, claims)
    .replace(/\uE000(\d+)\uE001/g, "<$1:")
    .replaceAll("\uE002", ">");

test("claims are marked where they stand, in any order", () => {
  expect(marked("Area 12 mm², a cyst.", claim(15, 19), claim(5, 11))).toBe("Area <1:12 mm²>, a <0:cyst>.");
});

test("offsets count characters, also after those outside the basic plane", () => {
  expect(marked("🫁 12 px", claim(2, 7))).toBe("🫁 <0:12 px>");
});

test("overlapping, empty and impossible spans and cited sources are left alone", () => {
  const odd = [claim(0, 4), claim(2, 6), claim(6, 6), claim(6, 99), claim(-3, 2)];
  expect(marked("abcdefgh", ...odd)).toBe("<0:abcd>efgh");
  expect(
    marked("See [1] [7].", claim(4, 7, { kind: "citation" }), claim(8, 11, { kind: "citation", supported: false })),
  ).toBe("See [1] <1:[7]>.");
});

test("an answer cannot forge marks, and marks can be taken out again", () => {
  expect(markClaims("a\uE0000\uE001b\uE002", [])).toBe("a\uFFFD0\uFFFDb\uFFFD");
  expect(withoutMarks(markClaims("Area 12 mm²", [claim(5, 11)]))).toBe("Area 12 mm²");
});

test("a pointer is read as words", () => {
  expect(fieldWords("/masks/0/area_mm2")).toBe("masks 1, area mm2");
  expect(fieldWords("/labels")).toBe("labels");
});
