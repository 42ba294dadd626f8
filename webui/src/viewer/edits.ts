/** Which call runs again when a person changes a box or a contour of a result, and with what. */

import type { Json, JsonObject } from "../api/types";
import type { Box } from "../state/boxes";
import type { Overlay } from "../state/overlays";
import { callsOf, type Call, type Turn } from "../state/turns";

/** `box` is what is changed: number `index` of the boxes that the call was given. */
export interface Editable {
  call: Call;
  index: number;
  box: Box;
}

/** A mask made from boxes or points is changed by its box; a box that was found, by the call that worked on it.
 *
 * Null when no call of the turn took a box for it: what a tool finds by words cannot be changed by hand.
 */
export function editableOf(turn: Turn, overlay: Overlay): Editable | null {
  const calls = callsOf(turn);
  const own = calls.find((call) => call.id === overlay.callId);
  if (own === undefined || overlay.index === null) return null;
  const given = boxesOf(own.arguments);
  const box = given?.[overlay.index];
  if (box !== undefined) return { call: own, index: overlay.index, box };
  const { box: found } = overlay;
  if (found === null) return null;
  for (const call of calls) {
    const index = boxesOf(call.arguments)?.findIndex((each) => isSame(each, found)) ?? -1;
    if (index >= 0) return { call, index, box: found };
  }
  return null;
}

/** A mask made from points alone: its contour can become the box of the call. */
export function takesBoxes(turn: Turn, overlay: Overlay): boolean {
  const call = callsOf(turn).find((each) => each.id === overlay.callId);
  return overlay.mask !== null && call !== undefined && ("boxes" in call.arguments || "points" in call.arguments);
}

/** The parameters of a call with one box replaced, or added where there is none of that number. */
export function withBox(parameters: JsonObject, index: number, box: Box): JsonObject {
  const boxes: Json[] = Array.isArray(parameters["boxes"]) ? [...parameters["boxes"]] : [];
  boxes[Math.min(index, boxes.length)] = box.map((value) => Number(value.toFixed(4)));
  return { ...parameters, boxes };
}

function boxesOf(parameters: JsonObject): Box[] | null {
  const { boxes } = parameters;
  return Array.isArray(boxes) && boxes.every(isBox) ? boxes : null;
}

function isBox(value: unknown): value is Box & Json[] {
  return Array.isArray(value) && value.length === 4 && value.every((each) => typeof each === "number");
}

const isSame = (a: Box, b: Box): boolean => a.every((value, index) => Math.abs(value - (b[index] ?? NaN)) < 1e-6);
