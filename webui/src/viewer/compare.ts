/** What a rerun has changed. */

import { overlaysOn, type Overlay } from "../state/overlays";
import type { Turn } from "../state/turns";

/** A result before and after; null where there is none. */
export interface Pair {
  id: string;
  before: Overlay | null;
  after: Overlay | null;
}

/** The results of a turn's calls that differ from those of the turn that it is a rerun of, matched by their numbers. */
export function pairsOf(before: Turn, after: Turn, fileId: string): Pair[] {
  const [old, made] = [before, after].map((turn) => byPlace(overlaysOn(turn, fileId))) as [Places, Places];
  const places = [...new Set([...old.keys(), ...made.keys()])].sort();
  return places
    .map((place) => ({ id: place, before: old.get(place) ?? null, after: made.get(place) ?? null }))
    .filter(({ before: a, after: b }) => a === null || b === null || !isSame(a, b));
}

type Places = Map<string, Overlay>;

const byPlace = (overlays: readonly Overlay[]): Places =>
  new Map(
    overlays.flatMap((overlay) =>
      overlay.callId === null ? [] : [[`${overlay.callNumber}/${overlay.index}`, overlay] as const],
    ),
  );

const isSame = (a: Overlay, b: Overlay): boolean => a.mask === b.mask && String(a.box) === String(b.box);

/** How the area changed, in percent of the old one; null where it cannot be told. */
export function areaChange({ before, after }: Pair): number | null {
  const [old, made] = [before?.areaPx ?? 0, after?.areaPx ?? 0];
  return old === 0 || after === null ? null : (made / old - 1) * 100;
}
