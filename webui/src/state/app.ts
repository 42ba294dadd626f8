/** Everything the page knows, and the readings of it that several components share. */

import type { Conversation, FileObject, ToolCard, WorkerInfo } from "../api/types";
import type { Box } from "./boxes";
import { createStore, type Store } from "./store";
import type { Failure, Turn } from "./turns";
import type { Marks } from "./viewing";

/** The key of the thread that has no conversation on the server yet. */
export const NEW = "";

/** The evidence that is lit up: a call's result, or one `field` of it (JSON pointer). */
export interface Highlighted {
  callId: string;
  field: string | null;
}

export interface AppState {
  connection: "loading" | "ready" | "needs-key" | "offline";
  model: string | null;
  tools: Readonly<Record<string, ToolCard>>;
  workers: readonly WorkerInfo[];
  conversations: readonly Conversation[];
  current: string;
  loadingItems: boolean;
  threads: Readonly<Record<string, readonly Turn[]>>;
  files: Readonly<Record<string, FileObject>>;
  uploading: string | null;
  text: string;
  fileId: string | null;
  box: Box | null;
  marks: Marks | null;
  highlighted: Highlighted | null;
  hidden: ReadonlySet<string>;
  opacity: number;
  notice: Failure | null;
  spoken: string;
}

export type AppStore = Store<AppState>;

export function createAppStore(): AppStore {
  return createStore<AppState>({
    connection: "loading",
    model: null,
    tools: {},
    workers: [],
    conversations: [],
    current: NEW,
    loadingItems: false,
    threads: {},
    files: {},
    uploading: null,
    text: "",
    fileId: null,
    box: null,
    marks: null,
    highlighted: null,
    hidden: new Set(),
    opacity: 0.35,
    notice: null,
    spoken: "",
  });
}

const NO_TURNS: readonly Turn[] = [];

export const allTurnsOf = (state: AppState): readonly Turn[] => turnsOf(state);

export const turnsOf = (state: AppState): readonly Turn[] => state.threads[state.current] ?? NO_TURNS;

export const isRunning = (state: AppState): boolean => turnsOf(state).at(-1)?.state === "running";

export const canSend = (state: AppState): boolean =>
  state.connection === "ready" && state.text.trim() !== "" && state.uploading === null && !isRunning(state);

export const toolTitle = (state: AppState, name: string): string =>
  state.tools[name]?.title ?? name.replaceAll("_", " ");
