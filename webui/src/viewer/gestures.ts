/** What a pointer does from the moment it is pressed until it is let go. No side effects. */

import { boxBetween, MOST_BOXES, moveBox, type Box } from "../state/boxes";
import type { Window } from "./api";
import { panBy, toFrame, zoomAt, type Placed, type Position, type View } from "./geometry";
import { dragWindow } from "./pixels";
import { clampPosition, dragHandle, handlePosition, HANDLES, isInside, nearest, type Handle } from "./shapes";
import type { Draft, Mode, Ruler, Shapes, ViewerState } from "./state";

/** CSS pixels around a handle, a corner or a point in which it is caught. */
export const REACH = 10;

/** `from` is where on the stage it began, `at` the same place on the frame. */
type Begun = { from: Position; at: Position };

export type Gesture =
  | ({ kind: "pan" | "zoom"; view: View } & Begun)
  | ({ kind: "window"; window: Window } & Begun)
  | ({ kind: "draw-box"; boxes: readonly Box[] } & Begun)
  | ({ kind: "move-box"; boxes: readonly Box[]; index: number } & Begun)
  | ({ kind: "resize-box"; boxes: readonly Box[]; index: number; handle: Handle } & Begun)
  | ({ kind: "move-point"; points: readonly Position[]; index: number } & Begun)
  | ({ kind: "move-corner"; polygon: readonly Position[]; index: number } & Begun)
  | ({ kind: "ruler"; fixed: Position } & Begun);

/** What there is to catch, and what the tool in hand is. */
export interface Scene {
  mode: Mode;
  view: View;
  window: Window;
  placed: Placed;
  shapes: Shapes;
}

/** `stage` is in CSS pixels; `button` as in pointer events: 0 the main one, 1 the middle one, 2 the other one. */
export function beginGesture(scene: Scene, stage: Position, button: number): Gesture | null {
  const { mode, view, window, placed, shapes } = scene;
  const begun = { from: stage, at: toFrame(stage, placed) };
  if (button === 1) return { kind: "pan", view, ...begun };
  if (button === 2) return { kind: "zoom", view, ...begun };
  if (button !== 0) return null;
  switch (mode) {
    case "pan":
      return { kind: "pan", view, ...begun };
    case "window":
      return { kind: "window", window, ...begun };
    case "box":
      return catchBox(shapes.boxes, placed, begun);
    case "point":
      return catchPoint(shapes.points, placed, begun);
    case "polygon":
      return catchCorner(shapes.polygon, placed, begun);
    case "ruler":
      return catchRuler(shapes.ruler, placed, begun);
  }
}

/** A press beside every box draws another one. Of boxes that lie on each other the newest is caught. */
function catchBox(boxes: readonly Box[], placed: Placed, begun: Begun): Gesture | null {
  const corners = boxes.flatMap((box, index) =>
    HANDLES.map((handle) => ({ index, handle, at: handlePosition(box, handle) })),
  );
  const caught = nearest(
    corners.map(({ at }) => at),
    begun.at,
    placed,
    REACH,
  );
  const corner = caught === null ? undefined : corners[caught];
  if (corner !== undefined) {
    return { kind: "resize-box", boxes, index: corner.index, handle: corner.handle, ...begun };
  }
  const index = boxes.findLastIndex((box) => isInside(begun.at, box));
  if (index >= 0) return { kind: "move-box", boxes, index, ...begun };
  return boxes.length < MOST_BOXES ? { kind: "draw-box", boxes, ...begun } : null;
}

/** A press beside every point makes a new one. */
function catchPoint(points: readonly Position[], placed: Placed, begun: Begun): Gesture {
  const index = nearest(points, begun.at, placed, REACH);
  return index === null
    ? { kind: "move-point", points: [...points, clampPosition(begun.at)], index: points.length, ...begun }
    : { kind: "move-point", points, index, ...begun };
}

function catchCorner(polygon: readonly Position[] | null, placed: Placed, begun: Begun): Gesture | null {
  const index = nearest(polygon ?? [], begun.at, placed, REACH);
  return polygon === null || index === null ? null : { kind: "move-corner", polygon, index, ...begun };
}

function catchRuler(ruler: Ruler | null, placed: Placed, begun: Begun): Gesture {
  const end = nearest(ruler ?? [], begun.at, placed, REACH);
  const fixed = ruler !== null && end !== null ? ruler[end === 0 ? 1 : 0] : clampPosition(begun.at);
  return { kind: "ruler", fixed, ...begun };
}

/** What the viewer shows once the pointer has come to `stage`. */
export function moveGesture(gesture: Gesture, stage: Position, placed: Placed): Partial<ViewerState> {
  const [dx, dy] = [stage[0] - gesture.from[0], stage[1] - gesture.from[1]];
  switch (gesture.kind) {
    case "pan":
      return { view: panBy(gesture.view, dx, dy, placed) };
    case "zoom":
      return { view: zoomAt(gesture.view, Math.exp(-dy / 150), gesture.at) };
    case "window":
      return { window: dragWindow(gesture.window, dx, dy) };
    default:
      return { draft: draftOf(gesture, toFrame(stage, placed)) };
  }
}

function draftOf(gesture: Exclude<Gesture, { kind: "pan" | "zoom" | "window" }>, to: Position): Draft {
  switch (gesture.kind) {
    case "draw-box":
      return { boxes: withBoxBetween(gesture.boxes, gesture.at, to) };
    case "move-box":
      return {
        boxes: changed(gesture, (box) => moveBox(box, to[0] - gesture.at[0], to[1] - gesture.at[1])),
      };
    case "resize-box":
      return { boxes: changed(gesture, (box) => dragHandle(box, gesture.handle, to) ?? box) };
    case "move-point":
      return { points: gesture.points.with(gesture.index, clampPosition(to)) };
    case "move-corner":
      return { polygon: gesture.polygon.with(gesture.index, clampPosition(to)) };
    case "ruler":
      return { ruler: [gesture.fixed, clampPosition(to)] };
  }
}

/** With one more, unless it is too thin to mean anything. */
export function withBoxBetween(boxes: readonly Box[], from: Position, to: Position): readonly Box[] {
  const drawn = boxBetween(from, to);
  return drawn === null ? boxes : [...boxes, drawn];
}

const changed = (
  { boxes, index }: { boxes: readonly Box[]; index: number },
  change: (box: Box) => Box,
): readonly Box[] => boxes.map((box, at) => (at === index ? change(box) : box));

/** The view while two fingers move: what was between them stays between them. */
export function pinch(
  view: View,
  from: readonly [Position, Position],
  to: readonly [Position, Position],
  placed: Placed,
): View {
  const apart = ([a, b]: readonly [Position, Position]): number => Math.hypot(b[0] - a[0], b[1] - a[1]);
  const middle = ([a, b]: readonly [Position, Position]): Position => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const [start, end] = [middle(from), middle(to)];
  const factor = apart(to) / Math.max(1, apart(from));
  const zoomed = zoomAt(view, factor, toFrame(start, placed));
  const scale = zoomed.zoom / view.zoom;
  return panBy(zoomed, end[0] - start[0], end[1] - start[1], {
    width: placed.width * scale,
    height: placed.height * scale,
  });
}
