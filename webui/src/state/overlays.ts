/** What is drawn over the image for a turn. */

import type { AppState } from "./app";
import type { Box, Point } from "./boxes";
import { readFound, readMasks } from "./results";
import { callsOf, type Call, type Turn } from "./turns";

/** `callId`, `tool` and `index` (which of the call's results it is) are null for what the user drew. A mask is named by
 * its artifact. `fileId` and `slice` say which image it lies on; null is the one that the turn is about.
 */
export interface Overlay {
  id: string;
  callId: string | null;
  callNumber: number | null;
  tool: string | null;
  index: number | null;
  label: string;
  color: string;
  fileId: string | null;
  slice: number | null;
  box: Box | null;
  points: readonly Point[];
  mask: string | null;
  areaPx: number | null;
  areaMm2: number | null;
}

/** Told apart by people with colour-blindness, and light enough for dark images (after Okabe and Ito, 2008). */
export const COLORS = ["#56b4e9", "#e69f00", "#2fd5a0", "#f0e442", "#ff8fc7", "#d55e00", "#b8a1ff"] as const;
export const DRAWN_COLOR = "#ffffff";

export const maskId = (callId: string, index: number): string => `${callId}/${index}`;

export function overlaysOf(turn: Turn): Overlay[] {
  const found = callsOf(turn).flatMap((call) => overlaysOfCall(call, turn));
  return [
    ...drawnIn(turn),
    ...found.map((overlay, index) => ({ ...overlay, color: COLORS[index % COLORS.length] ?? DRAWN_COLOR })),
  ];
}

const NOTHING: Omit<Overlay, "id" | "label"> = {
  callId: null,
  callNumber: null,
  tool: null,
  index: null,
  color: DRAWN_COLOR,
  fileId: null,
  slice: null,
  box: null,
  points: [],
  mask: null,
  areaPx: null,
  areaMm2: null,
};

function drawnIn(turn: Turn): Overlay[] {
  const { slice = null, points = [] } = turn;
  return [
    ...turn.boxes.map((box, index) => {
      const label = turn.boxes.length === 1 ? "Your box" : `Your box ${index + 1}`;
      return { ...NOTHING, id: `${turn.id}/box/${index}`, label, slice, box };
    }),
    ...(points.length === 0 ? [] : [{ ...NOTHING, id: `${turn.id}/points`, label: "Your points", slice, points }]),
  ];
}

/** One overlay for each thing found; where a tool gives boxes and masks, the two of one thing go together. */
function overlaysOfCall(call: Call, turn: Turn): Overlay[] {
  if (call.output === null) return [];
  const masks = readMasks(call.output.data) ?? [];
  const found = readFound(call.output.data) ?? [];
  const count = Math.max(masks.length, found.length);
  const { image, slice } = call.arguments;
  const made = Array.from({ length: count }, (_, index): Overlay => {
    const [mask, thing] = [masks[index], found[index]];
    return {
      ...NOTHING,
      id: maskId(call.id, index),
      callId: call.id,
      callNumber: call.number,
      tool: call.tool,
      index,
      label: thing?.phrase || `${mask === undefined ? "Box" : "Mask"} ${index + 1}`,
      fileId: typeof image === "string" ? image : null,
      slice: typeof slice === "number" ? slice : (turn.slice ?? null),
      box: thing?.box ?? null,
      mask: mask === undefined || mask.areaPx === 0 ? null : mask.artifact,
      areaPx: mask?.areaPx ?? null,
      areaMm2: mask?.areaMm2 ?? null,
    };
  });
  return made.filter((overlay) => overlay.box !== null || overlay.mask !== null);
}

/** The overlays of a turn that lie on this file. */
export const overlaysOn = (turn: Turn, fileId: string): Overlay[] =>
  overlaysOf(turn).filter((overlay) => (overlay.fileId ?? turn.fileId) === fileId);

/** 0 to 1: of the area of a mask, whose contour stays as it is; of the lines of what has no mask. */
export const opacityOf = (
  { opacity, opacities }: Pick<AppState, "opacity" | "opacities">,
  { id, mask }: Pick<Overlay, "id" | "mask">,
): number => opacities[id] ?? (mask === null ? 1 : opacity);

/** Whether an overlay is what a person asked to see: a call's result, or the one that a JSON pointer names. */
export function isLit(
  { callId, index }: Overlay,
  highlighted: { callId: string; field: string | null } | null,
): boolean {
  if (highlighted === null || callId !== highlighted.callId) return false;
  const named = /^\/(?:masks|boxes|scores|phrases)\/(\d+)/.exec(highlighted.field ?? "")?.[1];
  return named === undefined || Number(named) === index;
}

/** The turn with the call `callId` if it has something to draw on this file, else the latest that has. */
export function turnToDraw(turns: readonly Turn[], fileId: string, callId: string | null = null): Turn | null {
  const drawable = turns.filter((turn) => overlaysOn(turn, fileId).length > 0);
  const asked = callId === null ? undefined : drawable.find((turn) => callsOf(turn).some((call) => call.id === callId));
  return asked ?? drawable.at(-1) ?? null;
}
