/** What a person can change of a result. */

import type { Overlay } from "../state/overlays";
import type { Turn } from "../state/turns";
import { useApp } from "../view/context";
import { contourOf } from "./contours";
import { editableOf, takesBoxes } from "./edits";
import { boundingBox } from "./shapes";
import { useViewing } from "./viewing";

export interface EditChoice {
  name: string;
  begin: () => void;
}

/** Boxes and contours of results whose call can run again; any other box can go with the next message. */
export function useEdits(turn: Turn | null, sliceOf: (overlay: Overlay) => number): (overlay: Overlay) => EditChoice[] {
  const { images, actions: page } = useApp();
  const { actions, fileId } = useViewing();

  return (overlay) => {
    if (turn === null || overlay.callId === null) return [];
    const { box, mask } = overlay;
    const slice = sliceOf(overlay);
    const editable = turn.state === "done" && turn.responseId !== null ? editableOf(turn, overlay) : null;
    const choices: EditChoice[] = [];
    if (editable !== null) {
      const { call, index, box: given } = editable;
      choices.push({
        name: "Edit box",
        begin: () => actions.startEdit("box", { callId: call.id, index, slice, box: given, polygon: null }),
      });
    }
    if (mask !== null && turn.state === "done" && turn.responseId !== null && takesBoxes(turn, overlay)) {
      const begin = async (callId: string, index: number): Promise<void> => {
        const polygon = contourOf(await images.mask(mask));
        const around = boundingBox(polygon);
        if (around !== null) actions.startEdit("polygon", { callId, index, slice, box: around, polygon });
      };
      const { callId, index } = overlay;
      choices.push({ name: "Edit contour", begin: () => void begin(callId, index ?? 0).catch(() => undefined) });
    }
    if (choices.length === 0 && box !== null) {
      choices.push({ name: "Use box", begin: () => page.draw(fileId, slice, { boxes: [box], polygon: null }) });
    }
    return choices;
  };
}
