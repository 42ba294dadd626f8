/** What is drawn over the image for a turn, and where on the screen the image lies. */

import type { Frame } from "../api/types";
import type { Box } from "./boxes";
import { readFound, readMasks } from "./results";
import { callsOf, type Call, type Turn } from "./turns";

/** `callId` is null for the box that the user drew. A mask is named by its artifact. */
export interface Overlay {
  id: string;
  callId: string | null;
  label: string;
  color: string;
  box: Box | null;
  mask: string | null;
}

/** Told apart by people with colour-blindness, and light enough for dark images (after Okabe and Ito, 2008). */
export const COLORS = ["#56b4e9", "#e69f00", "#2fd5a0", "#f0e442", "#ff8fc7", "#d55e00", "#b8a1ff"] as const;
export const DRAWN_COLOR = "#ffffff";

export const maskId = (callId: string, index: number): string => `${callId}/${index}`;

export function overlaysOf(turn: Turn): Overlay[] {
  const drawn: Overlay[] =
    turn.box === null
      ? []
      : [{ id: `${turn.id}/box`, callId: null, label: "Your box", color: DRAWN_COLOR, box: turn.box, mask: null }];
  const found = callsOf(turn).flatMap(overlaysOfCall);
  return [
    ...drawn,
    ...found.map((overlay, index) => ({ ...overlay, color: COLORS[index % COLORS.length] ?? DRAWN_COLOR })),
  ];
}

/** One overlay for each thing found; where a tool gives boxes and masks, the two of one thing go together. */
function overlaysOfCall(call: Call): Overlay[] {
  if (call.output === null) return [];
  const masks = readMasks(call.output.data) ?? [];
  const found = readFound(call.output.data) ?? [];
  const count = Math.max(masks.length, found.length);
  return Array.from({ length: count }, (_, index) => {
    const [mask, thing] = [masks[index], found[index]];
    return {
      id: maskId(call.id, index),
      callId: call.id,
      label: thing?.phrase || `${mask === undefined ? "Box" : "Mask"} ${index + 1}`,
      color: DRAWN_COLOR,
      box: thing?.box ?? null,
      mask: mask === undefined || mask.areaPx === 0 ? null : mask.artifact,
    };
  }).filter((overlay) => overlay.box !== null || overlay.mask !== null);
}

/** The latest turn on this file that has something to draw. */
export function turnToDraw(turns: readonly Turn[], fileId: string): Turn | null {
  return turns.findLast((turn) => turn.fileId === fileId && overlaysOf(turn).length > 0) ?? null;
}

export interface Size {
  width: number;
  height: number;
}

/** The frame's shape with square millimetres: rows and columns may lie at different distances. */
export function displaySize(frame: Pick<Frame, "width" | "height" | "spacing_mm">): Size {
  const [row, column] = frame.spacing_mm ?? [1, 1];
  return { width: frame.width, height: (frame.height * row) / column };
}

/** The largest size of this shape that fits into the stage. */
export function fit(content: Size, stage: Size): Size {
  const scale = Math.min(stage.width / content.width, stage.height / content.height);
  return { width: content.width * scale, height: content.height * scale };
}

/** Where inside a rectangle on the screen a pointer is, as fractions of its width and height. */
export function fractionAt(x: number, y: number, rect: { left: number; top: number } & Size): [number, number] {
  return [(x - rect.left) / rect.width, (y - rect.top) / rect.height];
}
