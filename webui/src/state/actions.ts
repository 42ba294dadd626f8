/** What a person can do on the page. Each action changes the store, and most talk to the server. */

import type { AppState } from "./app";
import { askingActions } from "./asking";
import type { Box } from "./boxes";
import { connectionActions } from "./connection";
import type { ActionContext } from "./context";
import { conversationActions } from "./conversations";
import { exportActions } from "./exports";
import { overlaysOf, type Overlay } from "./overlays";
import { savePreferences, type Preferences } from "./preferences";
import { reportActions } from "./reports";
import type { Turn } from "./turns";
import { uploadActions } from "./uploads";
import { viewingActions } from "./viewing";

export type Actions = ReturnType<typeof createActions>;

export function createActions(context: ActionContext) {
  const { store } = context;
  const connection = connectionActions(context);
  const asking = askingActions(context, connection.refresh);
  const reports = reportActions(context);

  function toggleOverlay(id: string): void {
    store.set(({ hidden }) => ({ hidden: toggled(hidden, id) }));
  }

  function setOpacity({ id }: Overlay, opacity: number): void {
    store.set(({ opacities }) => ({ opacities: { ...opacities, [id]: opacity } }));
  }

  /** Of these masks, and of those that are still to come. */
  function setOpacityOfMasks(masks: readonly Overlay[], opacity: number): void {
    for (const mask of masks) setOpacity(mask, opacity);
    store.set({ opacity });
  }

  function toggleTool(name: string): void {
    store.set(({ disabledTools }) => ({ disabledTools: toggled(disabledTools, name) }));
  }

  /** Lights up a call's result, or one field of it (JSON pointer into the result's data). */
  function highlight(callId: string, field: string | null): void {
    store.set({ highlighted: { callId, field } });
  }

  /** The image of a turn with what a call found on it, in front where there is room for one pane only. */
  function openInViewer(turn: Turn, callId: string): void {
    highlight(callId, null);
    store.set({ pane: "image", ...(turn.fileId === null ? {} : { fileId: turn.fileId }) });
  }

  /** The evidence of a claim: on the image where it is drawn. Gives whether it is. */
  function showEvidence(turn: Turn, callId: string, field: string | null): boolean {
    const drawn = overlaysOf(turn).some((overlay) => overlay.callId === callId);
    if (drawn) openInViewer(turn, callId);
    highlight(callId, field);
    return drawn;
  }

  function prefer(change: Partial<Preferences>): void {
    store.set((state) => ({ preferences: { ...state.preferences, ...change } }));
    savePreferences(context.storage, store.get().preferences);
  }

  return {
    ...connection,
    ...asking,
    ...reports,
    ...conversationActions(context, { resume: asking.resume, openReport: reports.openReport }),
    ...uploadActions(context),
    ...exportActions(context),
    ...viewingActions(context),
    toggleOverlay,
    setOpacity,
    setOpacityOfMasks,
    toggleTool,
    highlight,
    openInViewer,
    showEvidence,
    prefer,
    setText: (text: string) => store.set({ text }),
    /** A polygon that a box was drawn as goes with it. */
    setBoxes: (boxes: readonly Box[]) =>
      store.set(({ marks }) => ({ boxes, marks: marks?.polygon == null ? marks : null })),
    setPane: (pane: AppState["pane"]) => store.set({ pane }),
    showPage: (page: AppState["page"]) => store.set({ page, notice: null }),
    choose: (fileId: string) => store.set({ fileId, boxes: [] }),
    dismiss: () => store.set({ notice: null }),
  };
}

function toggled(set: ReadonlySet<string>, name: string): Set<string> {
  const next = new Set(set);
  if (!next.delete(name)) next.add(name);
  return next;
}
