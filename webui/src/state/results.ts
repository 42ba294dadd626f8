/** Typed readings of tool results. Each gives null when the data is not of that kind, so unknown tools fall through. */

import type { Json, JsonObject } from "../api/types";
import type { Box } from "./boxes";

export interface Mask {
  artifact: string;
  areaPx: number;
  areaMm2: number | null;
  score: number;
}

export interface Found {
  box: Box;
  phrase: string;
  score: number;
}

export interface Share {
  label: string;
  probability: number;
}

export interface Passage {
  before: string;
  highlight: string;
  after: string;
  /** What the passage is about: the condition and the heading that it stands under. */
  place: string;
  source: string;
  /** The address that the source names; http and https only. */
  address: string | null;
  /** The artifact with the text that the passage stands in; results of older versions have none. */
  document: string | null;
  score: number;
}

export interface Report {
  findings: string;
  impression: string;
  shares: Share[];
}

export interface Opinion {
  specialist: string;
  answer: string;
  rationale: string;
  model: string;
  /** Whether it is the attending physician's answer; null when that gave none. */
  agrees: boolean | null;
}

export interface Consultation {
  specialty: string;
  reason: string;
  opinions: Opinion[];
  absent: { doctor: string; reason: string }[];
  /** How far the specialists agree, in words. */
  agreement: string;
  answer: string;
  rationale: string;
  overruled: string[];
  /** Of several replies of the attending physician, how many gave each answer. */
  votes: { answer: string; count: number }[];
  note: string;
}

const list = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);
const number = (value: Json | undefined): number => (typeof value === "number" ? value : 0);
const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");
const object = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};

function box(value: Json): Box | null {
  const [x1, y1, x2, y2] = list(value);
  return typeof x1 === "number" && typeof y1 === "number" && typeof x2 === "number" && typeof y2 === "number"
    ? [x1, y1, x2, y2]
    : null;
}

export function readMasks(data: JsonObject): Mask[] | null {
  if (!Array.isArray(data["masks"])) return null;
  return data["masks"].map(object).map((mask) => ({
    artifact: text(mask["artifact"]),
    areaPx: number(mask["area_px"]),
    areaMm2: typeof mask["area_mm2"] === "number" ? mask["area_mm2"] : null,
    score: number(mask["score"]),
  }));
}

export function readFound(data: JsonObject): Found[] | null {
  if (!Array.isArray(data["boxes"])) return null;
  const [phrases, scores] = [list(data["phrases"]), list(data["scores"])];
  return data["boxes"].flatMap((value, index) => {
    const found = box(value);
    return found === null ? [] : [{ box: found, phrase: text(phrases[index]), score: number(scores[index]) }];
  });
}

export function readShares(data: JsonObject): Share[] | null {
  if (!Array.isArray(data["labels"]) || !Array.isArray(data["probabilities"])) return null;
  const probabilities = data["probabilities"];
  return data["labels"].map((label, index) => ({ label: text(label), probability: number(probabilities[index]) }));
}

const SHA256 = /^[0-9a-f]{64}$/;

/** A source is quoted behind the name of its corpus. */
function addressIn(source: string): string | null {
  const found = /(?:^|\s)(https?:\/\/\S+)$/i.exec(source)?.[1];
  return found !== undefined && URL.canParse(found) ? found : null;
}

export function readPassages(data: JsonObject): Passage[] | null {
  if (!Array.isArray(data["passages"])) return null;
  return data["passages"].map(object).map((passage) => {
    // The offsets count characters, not the UTF-16 units that `slice` on a string would count.
    const characters = Array.from(text(passage["text"]));
    const [start, end] = list(passage["highlight"]).map(number);
    const cut = (from?: number, to?: number): string => characters.slice(from, to).join("");
    const place = [passage["condition"], passage["section"]].map(text).filter((part) => part !== "");
    const page = typeof passage["page"] === "number" ? `, page ${passage["page"]}` : "";
    return {
      before: cut(0, start ?? 0),
      highlight: cut(start ?? 0, end ?? 0),
      after: cut(end ?? 0),
      place: place.join(" · "),
      source: text(passage["source"]) + page,
      address: addressIn(text(passage["source"])),
      document: SHA256.test(text(passage["document"])) ? text(passage["document"]) : null,
      score: number(passage["score"]),
    };
  });
}

export function readReport(data: JsonObject): Report | null {
  if (typeof data["findings"] !== "string" || typeof data["impression"] !== "string") return null;
  const shares = Object.entries(object(data["probabilities"])).map(([label, value]) => ({
    label,
    probability: number(value),
  }));
  return {
    findings: data["findings"],
    impression: data["impression"],
    shares: shares.sort((a, b) => b.probability - a.probability),
  };
}

export function readConsultation(data: JsonObject): Consultation | null {
  if (!Array.isArray(data["opinions"]) || typeof data["answer"] !== "string") return null;
  return {
    specialty: text(data["specialty"]),
    reason: text(object(data["triage"])["reason"]),
    opinions: data["opinions"].map(object).map((each) => ({
      specialist: text(each["specialist"]),
      answer: text(each["answer"]),
      rationale: text(each["rationale"]),
      model: text(each["model"]),
      agrees: typeof each["agrees"] === "boolean" ? each["agrees"] : null,
    })),
    absent: list(data["absent"])
      .map(object)
      .map((each) => ({ doctor: text(each["doctor"]), reason: text(each["reason"]) })),
    agreement: text(object(data["agreement"])["summary"]),
    answer: data["answer"],
    rationale: text(data["rationale"]),
    overruled: list(data["overruled"]).map(text),
    votes: list(data["votes"])
      .map(object)
      .map((each) => ({ answer: text(each["answer"]), count: number(each["count"]) })),
    note: text(data["note"]),
  };
}
