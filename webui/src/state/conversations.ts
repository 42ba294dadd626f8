/** Opening, starting, naming and deleting conversations, and choosing among their branches. */

import type { FileObject } from "../api/types";
import { allTurnsOf, NEW, turnsOf, type Attachment } from "./app";
import { forksOf } from "./branches";
import { fallBack, keepFiles, report, type ActionContext } from "./context";
import { loadingReport } from "./reports";
import { lastFileId, turnOf, type Turn } from "./turns";

interface Continuations {
  /** Follows a turn that still runs. */
  resume: (turn: Turn) => Promise<void>;
  openReport: (responseId: string) => Promise<void>;
}

export function conversationActions(context: ActionContext, { resume, openReport }: Continuations) {
  const { store, client } = context;

  /** With the report on one of its turns, unless the person has gone on before it can be shown. */
  async function open(id: string, reportOn: string | null = null): Promise<void> {
    if (id === NEW) return startNew();
    store.set({
      ...CLEAN,
      current: id,
      attachments: [],
      report: reportOn === null ? null : loadingReport(reportOn),
    });
    try {
      if (!(id in store.get().threads)) await load(id);
      if (store.get().current !== id) return;
      showFilesOf(id);
      if (reportOn !== null && store.get().report?.responseId === reportOn) await openReport(reportOn);
    } catch (error) {
      if (store.get().current === id) fallBack(context, startNew);
      report(context, error);
    }
  }

  async function load(id: string): Promise<void> {
    store.set({ loadingItems: true });
    try {
      const turns = (await client.turns(id)).map(turnOf);
      await fetchFiles(turns);
      store.set(({ threads }) => ({ threads: { ...threads, [id]: turns } }));
      for (const turn of turns) if (turn.state === "running") void resume(turn);
    } finally {
      store.set({ loadingItems: false });
    }
  }

  /** A file that is gone leaves a placeholder, and the rest of the conversation can be read. */
  async function fetchFiles(turns: readonly Turn[]): Promise<void> {
    const known = store.get().files;
    const missing = fileIdsOf(turns).filter((id) => !(id in known));
    const found = await Promise.allSettled(missing.map((id) => client.file(id)));
    keepFiles(
      context,
      found.flatMap((result) => (result.status === "fulfilled" ? [result.value] : [])),
    );
  }

  function showFilesOf(id: string): void {
    store.set((state) => {
      const files = fileIdsOf(state.threads[id] ?? []).flatMap((fileId) => state.files[fileId] ?? []);
      return { fileId: lastFileId(turnsOf(state)), attachments: files.map(attachmentOf) };
    });
  }

  function startNew(): void {
    store.set(({ threads }) => ({
      ...CLEAN,
      current: NEW,
      fileId: null,
      attachments: [],
      threads: { ...threads, [NEW]: [] },
    }));
  }

  async function remove(id: string): Promise<void> {
    await attempt(async () => {
      await client.deleteConversation(id);
      store.set(({ conversations }) => ({
        conversations: conversations.filter((each) => each.id !== id),
        spoken: "The conversation is deleted.",
      }));
      if (store.get().current === id) startNew();
    });
  }

  async function rename(id: string, title: string): Promise<void> {
    await attempt(async () => {
      const renamed = await client.renameConversation(id, title);
      store.set(({ conversations }) => ({
        conversations: conversations.map((each) => (each.id === id ? renamed : each)),
      }));
    });
  }

  /** The list of conversations becomes those that `query` finds. An answer that comes too late is dropped. */
  async function search(query: string): Promise<void> {
    store.set({ query });
    await attempt(async () => {
      const conversations = await client.conversations(query.trim());
      if (store.get().query === query) store.set({ conversations });
    });
  }

  async function attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      report(context, error);
    }
  }

  /** Shows the branch `step` places after that of the turn. */
  function chooseBranch(turn: Turn, step: 1 | -1): void {
    const siblings = forksOf(allTurnsOf(store.get())).get(turn.id) ?? [];
    const next = siblings[siblings.indexOf(turn) + step];
    if (next === undefined) return;
    store.set((state) => ({ chosen: { ...state.chosen, [turn.parent ?? state.current]: next.id } }));
  }

  return { open, startNew, remove, rename, search, chooseBranch };
}

const CLEAN = { boxes: [], notice: null, highlighted: null, report: null, page: "chat", pane: "chat" } as const;

const fileIdsOf = (turns: readonly Turn[]): string[] => [...new Set(turns.flatMap((turn) => turn.fileId ?? []))];

const attachmentOf = ({ id, filename }: FileObject): Attachment => ({
  id,
  name: filename,
  share: 1,
  state: "ready",
  fileId: id,
  error: null,
});
