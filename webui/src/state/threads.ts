/** Finding and changing turns in the store. */

import type { AppStore } from "./app";
import type { Turn } from "./turns";

export const findTurn = (store: AppStore, id: string): Turn | undefined =>
  Object.values(store.get().threads)
    .flat()
    .find((turn) => turn.id === id);

/** The turn is looked for in every thread: a new conversation gets its id while its first turn is on the way. */
export function changeTurn(store: AppStore, id: string, change: (turn: Turn) => Turn): void {
  store.set(({ threads }) => {
    const found = Object.entries(threads).find(([, turns]) => turns.some((turn) => turn.id === id));
    if (found === undefined) return {};
    const [key, turns] = found;
    return { threads: { ...threads, [key]: turns.map((turn) => (turn.id === id ? change(turn) : turn)) } };
  });
}
