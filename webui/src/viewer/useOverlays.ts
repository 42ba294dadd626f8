/** What lies over a file: the results of the turn to draw and, after a rerun, what was there before. */

import { allTurnsOf, turnsOf } from "../state/app";
import { isLit, overlaysOn, turnToDraw, type Overlay } from "../state/overlays";
import type { Turn } from "../state/turns";
import { useAppState } from "../view/context";
import { pairsOf, type Pair } from "./compare";

const BEFORE_COLOR = "#c3ccd6";
const NO_OVERLAYS: readonly Overlay[] = [];
const NO_PAIRS: readonly Pair[] = [];

export interface Drawn {
  turn: Turn | null;
  overlays: readonly Overlay[];
  /** Those that the person asked to see. */
  lit: readonly Overlay[];
  pairs: readonly Pair[];
  /** The results that a rerun has replaced. */
  before: readonly Overlay[];
}

export function useOverlays(fileId: string): Drawn {
  const turns = useAppState(turnsOf);
  const all = useAppState(allTurnsOf);
  const highlighted = useAppState((state) => state.highlighted);
  const turn = turnToDraw(turns, fileId, highlighted?.callId);
  if (turn === null) return { turn, overlays: NO_OVERLAYS, lit: NO_OVERLAYS, pairs: NO_PAIRS, before: NO_OVERLAYS };
  const overlays = overlaysOn(turn, fileId);
  const original =
    turn.state === "done" && turn.rerunOf !== null ? all.find((each) => each.responseId === turn.rerunOf) : undefined;
  const pairs = original === undefined ? NO_PAIRS : pairsOf(original, turn, fileId);
  return {
    turn,
    overlays,
    lit: overlays.filter((overlay) => isLit(overlay, highlighted)),
    pairs,
    before: pairs.flatMap(({ before }) => (before === null ? [] : [asBefore(before)])),
  };
}

const asBefore = (overlay: Overlay): Overlay => ({
  ...overlay,
  id: `before/${overlay.id}`,
  callId: null,
  color: BEFORE_COLOR,
  label: "before",
});
