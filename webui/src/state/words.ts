/** Numbers and parameters as a person reads them. */

import type { Frame, Json, JsonObject } from "../api/types";

const NAMES: Record<string, string> = {
  boxes: "Inside the box",
  points: "At the points",
  prompts: "Looking for",
  labels: "Choosing between",
  task: "Question",
  query: "Searching for",
  question: "Asking",
  options: "Options",
  threshold: "Least score",
  top_k: "Passages",
  indication: "Indication",
  image: "Image",
  slice: "Slice",
};

export interface Wording {
  name: string;
  value: string;
}

/** The parameters of a call, one line each; unknown names are shown as they are. */
export function describeArguments(parameters: JsonObject): Wording[] {
  return Object.entries(parameters).map(([name, value]) => ({
    name: NAMES[name] ?? name.replaceAll("_", " "),
    value: describe(name, value),
  }));
}

function describe(name: string, value: Json): string {
  if (name === "points" && Array.isArray(value)) return value.map(describePoint).join("; ");
  if (Array.isArray(value)) {
    const nested = value.some((each) => Array.isArray(each));
    return value.map((each) => (Array.isArray(each) ? coordinates(each) : plain(each))).join(nested ? "; " : ", ");
  }
  return plain(value);
}

function describePoint(point: Json): string {
  const [x, y, label] = Array.isArray(point) ? point : [];
  return `${coordinates([x ?? null, y ?? null])} ${label === 0 ? "outside" : "inside"}`;
}

const coordinates = (values: Json[]): string =>
  `[${values.map((each) => (typeof each === "number" ? each.toFixed(3) : plain(each))).join(", ")}]`;

const plain = (value: Json): string => (typeof value === "object" ? JSON.stringify(value) : String(value));

/** The least that a share is given as; what lies between that and none or all is not rounded to these. */
export const LEAST_SHARE = 0.001;

/** A share of 0 to 1, with one decimal near the ends. */
export function percent(share: number): string {
  if (share > 0 && share < LEAST_SHARE) return `under ${percent(LEAST_SHARE)}`;
  if (share < 1 && share > 1 - LEAST_SHARE) return `over ${percent(1 - LEAST_SHARE)}`;
  const decimals = (share > 0 && share < 0.1) || (share < 1 && share >= 0.995) ? 1 : 0;
  return `${(share * 100).toFixed(decimals)}\u00a0%`;
}

export const seconds = (value: number): string => `${value.toFixed(value < 10 ? 1 : 0)}\u00a0s`;

export const whole = (value: number): string => Math.round(value).toLocaleString("en");

/** Square millimetres, also in square centimetres once they are many. */
export function area(mm2: number): string {
  const exact = `${mm2 < 100 ? mm2.toFixed(1) : whole(mm2)}\u00a0mm²`;
  return mm2 >= 100 ? `${exact} (${(mm2 / 100).toFixed(mm2 < 1000 ? 2 : 1)}\u00a0cm²)` : exact;
}

/** Modality, size in pixels and spacing of a frame, for example `CT · 128 × 128 · 0.66 mm`. */
export function describeFrame(frame: Frame): string {
  const [row, column] = frame.spacing_mm ?? [];
  const spacing =
    row === undefined || column === undefined
      ? ""
      : row === column
        ? millimetres(row)
        : `${millimetres(row)} × ${millimetres(column)}`;
  return [frame.modality ?? "", `${frame.width} × ${frame.height}`, spacing].filter((part) => part !== "").join(" · ");
}

const millimetres = (value: number): string => `${Number(value.toPrecision(3))} mm`;

/** A moment, given in seconds since the Unix epoch, in the person's own time zone. */
export const moment = (at: number): string =>
  new Date(at * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

export const memory = (bytes: number): string =>
  bytes < 1e9 ? `${Math.round(bytes / 1e6)}\u00a0MB` : `${(bytes / 1e9).toFixed(1)}\u00a0GB`;
