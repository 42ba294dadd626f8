/** What is drawn on the image for the next message. */

import type { AppState } from "./app";
import type { Box, Point } from "./boxes";
import type { ActionContext } from "./context";

/** What goes with the next message besides the box: points, and the polygon that the box and a point stand for.
 *
 * All lie on one slice of one file.
 */
export interface Marks {
  fileId: string;
  slice: number;
  points: readonly Point[];
  polygon: readonly Point[] | null;
}

/** The marks on the image of the next message. */
export const marksOf = ({ marks, fileId }: AppState): Marks | null => (marks?.fileId === fileId ? marks : null);

export function viewingActions({ store }: ActionContext) {
  /** Drawing on another slice begins anew. */
  function draw(fileId: string, slice: number, change: Partial<Marks & { box: Box | null }>): void {
    store.set((state) => {
      const old = marksOf(state);
      const kept = old?.slice === slice ? old : null;
      const { box = kept === null && old !== null ? null : state.box, ...rest } = change;
      return { box, marks: { fileId, slice, points: kept?.points ?? [], polygon: kept?.polygon ?? null, ...rest } };
    });
  }

  return { draw };
}
