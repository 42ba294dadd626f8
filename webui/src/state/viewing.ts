/** What the next message is about: a slice of an image, and what is drawn on it. */

import type { AppState } from "./app";
import type { Box, Point } from "./boxes";
import type { ActionContext } from "./context";

/** What goes with the next message besides boxes: points, and the polygon that a box and a point stand for.
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

/** The slice that the next message is about: the one that is drawn on, else the one that is shown; null for a picture. */
export function sliceToSend(state: AppState): number | null {
  const file = state.fileId === null ? undefined : state.files[state.fileId];
  if (file === undefined || file.frame_count <= 1) return null;
  const marks = marksOf(state);
  if (marks !== null && (state.boxes.length > 0 || marks.points.length > 0)) return marks.slice;
  return state.shown?.fileId === file.id ? state.shown.slice : file.frame.slice;
}

export function viewingActions({ store }: Pick<ActionContext, "store">) {
  /** Drawing on another slice begins anew. Points refine one box: of both, what was drawn last stays. */
  function draw(fileId: string, slice: number, change: Partial<Marks & { boxes: readonly Box[] }>): void {
    store.set((state) => {
      const old = marksOf(state);
      const kept = old?.slice === slice ? old : null;
      const { boxes = kept === null && old !== null ? [] : state.boxes, points = kept?.points ?? [] } = change;
      const { polygon = kept?.polygon ?? null } = change;
      const both = boxes.length > 1 && points.length > 0;
      return {
        boxes: both && change.points !== undefined ? boxes.slice(-1) : boxes,
        marks: { fileId, slice, points: both && change.points === undefined ? [] : points, polygon },
      };
    });
  }

  return { draw, show: (fileId: string, slice: number) => store.set({ shown: { fileId, slice } }) };
}
