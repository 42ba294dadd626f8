/** Claims of an answer, marked in its text so that they survive the way through markdown. */

import type { Claim } from "../api/types";

/** Private-use characters: `OPEN`, the claim's number, `MIDDLE`, the claim's words, `CLOSE`. */
const OPEN = "\uE000";
const MIDDLE = "\uE001";
const CLOSE = "\uE002";
const RESERVED = /[\uE000-\uE002]/g;
const MARKS = /\uE000\d+\uE001|\uE002/g;

/** A marked claim at the start of a text: its number and its words. */
export const MARKED = /^\uE000(\d+)\uE001([^\uE000-\uE002]*)\uE002/;

export const markStart = (text: string): number => text.indexOf(OPEN);

export const withoutMarks = (text: string): string => text.replace(MARKS, "");

/** A citation that has its source is a link of its own; of claims that overlap, the first counts. */
export function markClaims(text: string, claims: readonly Claim[]): string {
  // Offsets count characters, not the UTF-16 units that `slice` on a string would count.
  const characters = Array.from(text.replace(RESERVED, "\uFFFD"));
  let marked = "";
  let at = 0;
  const cut = (from: number, to?: number): string => characters.slice(from, to).join("");
  for (const [number, claim] of [...claims.entries()].sort(([, a], [, b]) => a.start - b.start)) {
    const fits = claim.start >= at && claim.end > claim.start && claim.end <= characters.length;
    if (!fits || (claim.kind === "citation" && claim.supported)) continue;
    marked += `${cut(at, claim.start)}${OPEN}${number}${MIDDLE}${cut(claim.start, claim.end)}${CLOSE}`;
    at = claim.end;
  }
  return marked + cut(at);
}

const KINDS = { number: "Number", finding: "Finding", citation: "Citation", failure: "Failure" } as const;

export const claimKind = (claim: Claim): string => KINDS[claim.kind];

/** A JSON pointer as a person reads it: `/masks/0/area_mm2` is `masks 1, area mm2`. */
export function fieldWords(pointer: string): string {
  const steps = pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  return steps.reduce((words, step) => {
    if (/^\d+$/.test(step)) return `${words} ${Number(step) + 1}`;
    return `${words}${words === "" ? "" : ", "}${step.replaceAll("_", " ")}`;
  }, "");
}
