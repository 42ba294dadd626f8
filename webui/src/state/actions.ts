/** What a person can do on the page. Each action changes the store, and most talk to the server. */

import { turnsOf } from "./app";
import { askingActions } from "./asking";
import type { Box } from "./boxes";
import { connectionActions } from "./connection";
import type { ActionContext } from "./context";
import { conversationActions } from "./conversations";
import { lastFileId, type Turn } from "./turns";
import { viewingActions } from "./viewing";

export type Actions = ReturnType<typeof createActions>;

export function createActions(context: ActionContext) {
  const { store } = context;
  const connection = connectionActions(context);

  function toggleOverlay(id: string): void {
    store.set(({ hidden }) => {
      const next = new Set(hidden);
      if (!next.delete(id)) next.add(id);
      return { hidden: next };
    });
  }

  /** Lights up a call's result, or one field of it (JSON pointer into the result's data). */
  function highlight(callId: string, field: string | null): void {
    store.set({ highlighted: { callId, field } });
  }

  return {
    ...connection,
    ...conversationActions(context),
    ...askingActions(context, connection.refresh),
    ...viewingActions(context),
    toggleOverlay,
    highlight,
    setText: (text: string) => store.set({ text }),
    setBox: (box: Box | null) => store.set({ box }),
    setOpacity: (opacity: number) => store.set({ opacity }),
    choose: (fileId: string) => store.set({ fileId, box: null }),
    /** Back to the image that the conversation is about, if it has one. */
    detach: () => store.set((state) => ({ fileId: lastFileId(turnsOf(state)), box: null })),
    /** The message of an earlier turn back into the text field. */
    reuse: ({ text, box, fileId }: Turn) => store.set((state) => ({ text, box, fileId: fileId ?? state.fileId })),
    dismiss: () => store.set({ notice: null }),
  };
}
