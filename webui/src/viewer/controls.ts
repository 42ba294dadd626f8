/** Pointer, wheel and keyboard of the stage. Knows no DOM: a component hands it what happens. */

import { MOST_BOXES } from "../state/boxes";
import { panBy, toFrame, zoomAt, type Placed, type Position } from "./geometry";
import { beginGesture, moveGesture, pinch, REACH, withBoxBetween, type Gesture } from "./gestures";
import { dragWindow } from "./pixels";
import { clampPosition, nearest } from "./shapes";
import { placedOf, type Shapes, type ViewerActions, type ViewerState, type ViewerStore } from "./state";

/** Where drawn shapes are kept: the next message, or a result that is being changed. */
export interface ShapeStore {
  get(): Shapes;
  set(change: Partial<Shapes>): void;
}

export interface Pointer {
  id: number;
  /** CSS pixels from the top left corner of the stage. */
  stage: Position;
  button: number;
  /** Move the frame, whatever the tool. */
  pan: boolean;
}

const KEY_STEP = 0.01;
const KEY_PIXELS = 20;
/** Less than one notch of a mouse wheel; a touch pad sends many smaller amounts. */
const WHEEL_STEP = 50;
const ARROWS: Readonly<Record<string, Position>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** The direction of an arrow key, x to the right and y down, or null. */
export const arrowOf = (key: string): Position | null => ARROWS[key] ?? null;

export type Controls = ReturnType<typeof createControls>;

export function createControls(store: ViewerStore, actions: ViewerActions, shapes: ShapeStore) {
  const pointers = new Map<number, Position>();
  let gesture: Gesture | null = null;
  let scrolled = 0;
  let twoFingers: { from: readonly [Position, Position]; view: ViewerState["view"]; placed: Placed } | null = null;

  function down({ id, stage, button, pan }: Pointer): void {
    pointers.set(id, stage);
    const [first, second] = [...pointers.values()];
    const state = store.get();
    const placed = placedOf(state);
    if (first !== undefined && second !== undefined) {
      gesture = null;
      store.set({ draft: null });
      twoFingers = { from: [first, second], view: state.view, placed };
      return;
    }
    const { mode, view, window } = state;
    gesture = beginGesture({ mode, view, window, placed, shapes: shapes.get() }, stage, pan ? 1 : button);
    if (gesture === null && mode === "polygon" && button === 0) addCorner(toFrame(stage, placed), placed);
    else if (gesture?.kind === "move-point") store.set({ draft: { points: gesture.points } });
    else if (gesture?.kind === "draw-box") store.set({ draft: { boxes: gesture.boxes } });
  }

  function move(id: number, stage: Position): void {
    const state = store.get();
    const placed = placedOf(state);
    const at = toFrame(stage, placed);
    const inside = at[0] >= 0 && at[1] >= 0 && at[0] < 1 && at[1] < 1;
    if (pointers.has(id)) pointers.set(id, stage);
    const [first, second] = [...pointers.values()];
    if (twoFingers !== null && first !== undefined && second !== undefined) {
      store.set({ view: pinch(twoFingers.view, twoFingers.from, [first, second], twoFingers.placed) });
      return;
    }
    store.set({ cursor: inside ? at : null, ...(gesture === null ? {} : moveGesture(gesture, stage, placed)) });
  }

  function up(id: number): void {
    pointers.delete(id);
    if (pointers.size < 2) twoFingers = null;
    const drew = gesture !== null && gesture.kind !== "pan" && gesture.kind !== "zoom" && gesture.kind !== "window";
    gesture = null;
    if (drew) commit();
  }

  /** What was drawn counts from now on. */
  function commit(): void {
    const { draft } = store.get();
    store.set({ draft: null, anchor: null });
    if (draft !== null) shapes.set(draft);
  }

  /** A press at the first corner or twice at the same place closes the polygon. */
  function addCorner(at: Position, placed: Placed): void {
    const corners = store.get().draft?.polygon ?? [];
    const ends = [corners[0], corners.at(-1)].filter((corner) => corner !== undefined);
    if (nearest(ends, at, placed, REACH) !== null) closePolygon();
    else store.set({ draft: { polygon: [...corners, clampPosition(at)] } });
  }

  function closePolygon(): void {
    if ((store.get().draft?.polygon?.length ?? 0) >= 3) commit();
  }

  /** `zoom` is whether the wheel turns with the Ctrl key, as a pinch on a touch pad does too. */
  function wheel(stage: Position, delta: number, zoom: boolean): void {
    const state = store.get();
    if (zoom || state.info.count === 1) {
      store.set({ view: zoomAt(state.view, Math.exp(-delta / 300), toFrame(stage, placedOf(state))) });
    } else {
      scrolled += delta;
      if (Math.abs(scrolled) < WHEEL_STEP) return;
      actions.goTo(state.index + Math.sign(scrolled));
      scrolled = 0;
    }
  }

  /** Tells whether the key meant something. */
  function key(name: string, shift: boolean): boolean {
    const state = store.get();
    const arrow = arrowOf(name);
    if (arrow !== null) arrowKey(state, arrow, shift ? 5 : 1);
    else if (name === "Enter") return enter(state);
    else if (name === "Escape") return cancel(state);
    else if (name === "Backspace") return removeCorner(state);
    else return command(state, name);
    return true;
  }

  function arrowKey(state: ViewerState, [x, y]: Position, times: number): void {
    const by = KEY_PIXELS * times;
    if (state.mode === "pan") store.set({ view: panBy(state.view, -x * by, -y * by, placedOf(state)) });
    else if (state.mode === "window") store.set({ window: dragWindow(state.window, x * by, y * by) });
    else {
      const [oldX, oldY] = state.cursor ?? [0.5, 0.5];
      const cursor = clampPosition([oldX + x * KEY_STEP * times, oldY + y * KEY_STEP * times]);
      store.set({ cursor, ...draftTo(state, cursor) });
    }
  }

  function draftTo({ mode, anchor }: ViewerState, to: Position): Partial<ViewerState> {
    if (anchor === null) return {};
    return {
      draft: mode === "box" ? { boxes: withBoxBetween(shapes.get().boxes, anchor, to) } : { ruler: [anchor, to] },
    };
  }

  /** Puts down a point or a corner where the cross is; a box and a ruler need two. */
  function enter(state: ViewerState): boolean {
    const cursor = state.cursor ?? [0.5, 0.5];
    switch (state.mode) {
      case "point":
        shapes.set({ points: [...shapes.get().points, cursor] });
        return true;
      case "polygon":
        addCorner(cursor, placedOf(state));
        return true;
      case "box":
      case "ruler":
        if (state.anchor !== null) commit();
        else if (state.mode === "ruler" || shapes.get().boxes.length < MOST_BOXES) {
          store.set({ cursor, anchor: cursor });
        }
        return true;
      default:
        return false;
    }
  }

  function cancel({ draft, anchor, edit }: ViewerState): boolean {
    store.set({ draft: null, anchor: null, ...(draft === null && anchor === null ? { edit: null } : {}) });
    return draft !== null || anchor !== null || edit !== null;
  }

  function removeCorner({ draft }: ViewerState): boolean {
    const corners = draft?.polygon?.slice(0, -1);
    if (corners === undefined) return false;
    store.set({ draft: corners.length === 0 ? null : { polygon: corners } });
    return true;
  }

  function command({ view, index, info }: ViewerState, name: string): boolean {
    const commands: Record<string, () => void> = {
      "+": () => store.set({ view: zoomAt(view, 1.25, view.center) }),
      "-": () => store.set({ view: zoomAt(view, 1 / 1.25, view.center) }),
      "0": actions.fit,
      i: actions.toggleInvert,
      PageUp: () => actions.goTo(index - 1),
      PageDown: () => actions.goTo(index + 1),
      Home: () => actions.goTo(0),
      End: () => actions.goTo(info.count - 1),
    };
    const found = commands[name === "=" ? "+" : name];
    found?.();
    return found !== undefined;
  }

  return { down, move, up, leave: () => store.set({ cursor: null }), wheel, key };
}
