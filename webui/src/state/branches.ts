/** A conversation as a tree: asking anew after an earlier turn makes a sibling. One path through the tree is shown. */

import type { Turn } from "./turns";

/** Which child of a turn is shown, by the id of the parent's response; of a first turn, by the conversation's id. */
export type Chosen = Readonly<Record<string, string>>;

type Children = ReadonlyMap<string | null, readonly Turn[]>;

/** The turns from the first to the newest, at each fork by the chosen one, else the newest. */
export function shownPath(turns: readonly Turn[], chosen: Chosen, conversation: string): readonly Turn[] {
  const children = childrenOf(turns);
  const path: Turn[] = [];
  let parent: string | null = null;
  for (;;) {
    const candidates: readonly Turn[] = children.get(parent) ?? [];
    const wanted: string | undefined = chosen[parent ?? conversation];
    const turn: Turn | undefined = candidates.find((each) => each.id === wanted) ?? candidates.at(-1);
    if (turn === undefined) return path;
    path.push(turn);
    if (turn.responseId === null) return path;
    parent = turn.responseId;
  }
}

/** For each turn, by its id, the turns that follow the same turn, itself among them, the oldest first. */
export function forksOf(turns: readonly Turn[]): ReadonlyMap<string, readonly Turn[]> {
  const forks = new Map<string, readonly Turn[]>();
  for (const siblings of childrenOf(turns).values()) for (const turn of siblings) forks.set(turn.id, siblings);
  return forks;
}

/** A turn whose parent is not there begins a tree of its own, so that it can still be read. */
function childrenOf(turns: readonly Turn[]): Children {
  const known = new Set(turns.map((turn) => turn.responseId));
  const children = new Map<string | null, Turn[]>();
  for (const turn of turns) {
    const parent = turn.parent !== null && known.has(turn.parent) ? turn.parent : null;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [turn]);
    else siblings.push(turn);
  }
  return children;
}
