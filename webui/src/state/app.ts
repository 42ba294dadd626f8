/** Everything the page knows, and the readings of it that several components share. */

import type { Conversation, FileObject, Me, Report, ToolCard, WorkerInfo } from "../api/types";
import type { Box } from "./boxes";
import { shownPath, type Chosen } from "./branches";
import type { Preferences } from "./preferences";
import { createStore, type Store } from "./store";
import type { Failure, Turn } from "./turns";
import type { Marks } from "./viewing";

/** The key of the thread that has no conversation on the server yet. */
export const NEW = "";

/** A study on its way to the server or there. `share` is how much of it was sent, 0 to 1. */
export interface Attachment {
  id: string;
  name: string;
  share: number;
  state: "sending" | "ready" | "failed";
  fileId: string | null;
  error: string | null;
}

/** The evidence that is lit up: a call's result, or one `field` of it (JSON pointer). */
export interface Highlighted {
  callId: string;
  field: string | null;
}

/** The report that is open. `report` is null while it loads. */
export interface OpenReport {
  responseId: string;
  report: Report | null;
  saving: boolean;
}

export interface AppState {
  connection: "loading" | "ready" | "needs-key" | "offline";
  me: Me | null;
  model: string | null;
  tools: Readonly<Record<string, ToolCard>>;
  workers: readonly WorkerInfo[];
  conversations: readonly Conversation[];
  query: string;
  current: string;
  loadingItems: boolean;
  /** All branches of each conversation; `turnsOf` gives those that are shown. */
  threads: Readonly<Record<string, readonly Turn[]>>;
  chosen: Chosen;
  files: Readonly<Record<string, FileObject>>;
  attachments: readonly Attachment[];
  disabledTools: ReadonlySet<string>;
  text: string;
  fileId: string | null;
  boxes: readonly Box[];
  marks: Marks | null;
  /** The slice that the viewer shows. */
  shown: { fileId: string; slice: number } | null;
  hidden: ReadonlySet<string>;
  /** 0 to 1: of masks, and of the overlays that have one of their own, by id. */
  opacity: number;
  opacities: Readonly<Record<string, number>>;
  highlighted: Highlighted | null;
  page: "chat" | "workers";
  /** Which of the two is in front where there is no room for both. */
  pane: "chat" | "image";
  report: OpenReport | null;
  /** While what could not be opened gives way to what stands in for it. */
  fallingBack: boolean;
  preferences: Preferences;
  notice: Failure | null;
  spoken: string;
}

export type AppStore = Store<AppState>;

export function createAppStore(preferences: Preferences): AppStore {
  return createStore<AppState>({
    connection: "loading",
    me: null,
    model: null,
    tools: {},
    workers: [],
    conversations: [],
    query: "",
    current: NEW,
    loadingItems: false,
    threads: {},
    chosen: {},
    files: {},
    attachments: [],
    disabledTools: new Set(),
    text: "",
    fileId: null,
    boxes: [],
    marks: null,
    shown: null,
    hidden: new Set(),
    opacity: 0.35,
    opacities: {},
    highlighted: null,
    page: "chat",
    pane: "chat",
    report: null,
    fallingBack: false,
    preferences,
    notice: null,
    spoken: "",
  });
}

const NO_TURNS: readonly Turn[] = [];
const paths = new WeakMap<readonly Turn[], { chosen: Chosen; path: readonly Turn[] }>();

/** The turns of the current conversation that are shown, the oldest first: one path through its branches. */
export function turnsOf({ threads, chosen, current }: AppState): readonly Turn[] {
  const turns = threads[current] ?? NO_TURNS;
  const known = paths.get(turns);
  if (known?.chosen === chosen) return known.path;
  const path = shownPath(turns, chosen, current);
  paths.set(turns, { chosen, path });
  return path;
}

export const allTurnsOf = (state: AppState): readonly Turn[] => state.threads[state.current] ?? NO_TURNS;

export const isRunning = (state: AppState): boolean => turnsOf(state).at(-1)?.state === "running";

export const isUploading = (state: AppState): boolean => state.attachments.some(({ state: now }) => now === "sending");

export const canAsk = (state: AppState): boolean =>
  state.connection === "ready" && state.model !== null && !isRunning(state);

export const canSend = (state: AppState): boolean => canAsk(state) && state.text.trim() !== "" && !isUploading(state);

export const toolTitle = (state: AppState, name: string): string =>
  state.tools[name]?.title ?? name.replaceAll("_", " ");
