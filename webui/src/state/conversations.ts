/** Opening, starting and deleting conversations, and the images that they are about. */

import { NEW, turnsOf } from "./app";
import { keepFiles, report, type ActionContext } from "./context";
import { lastFileId, turnsFromItems, type Turn } from "./turns";

export function conversationActions(context: ActionContext) {
  const { store, client } = context;

  async function open(id: string): Promise<void> {
    if (id === NEW) return startNew();
    store.set({ current: id, box: null, notice: null });
    try {
      if (!(id in store.get().threads)) await load(id);
      if (store.get().current === id) store.set({ fileId: lastFileId(turnsOf(store.get())) });
    } catch (error) {
      if (store.get().current === id) startNew();
      report(context, error);
    }
  }

  async function load(id: string): Promise<void> {
    store.set({ loadingItems: true });
    try {
      const turns = turnsFromItems(await client.items(id));
      await fetchFiles(turns);
      store.set(({ threads }) => ({ threads: { ...threads, [id]: turns } }));
    } finally {
      store.set({ loadingItems: false });
    }
  }

  /** A file that is gone leaves a placeholder, and the rest of the conversation can be read. */
  async function fetchFiles(turns: readonly Turn[]): Promise<void> {
    const known = store.get().files;
    const missing = [...new Set(turns.flatMap((turn) => turn.fileId ?? []))].filter((id) => !(id in known));
    const found = await Promise.allSettled(missing.map((id) => client.file(id)));
    keepFiles(
      context,
      found.flatMap((result) => (result.status === "fulfilled" ? [result.value] : [])),
    );
  }

  function startNew(): void {
    store.set(({ threads }) => ({ current: NEW, fileId: null, box: null, threads: { ...threads, [NEW]: [] } }));
  }

  async function remove(id: string): Promise<void> {
    try {
      await client.deleteConversation(id);
      store.set(({ conversations }) => ({ conversations: conversations.filter((each) => each.id !== id) }));
      if (store.get().current === id) startNew();
    } catch (error) {
      report(context, error);
    }
  }

  async function attach(file: File): Promise<void> {
    store.set({ uploading: file.name, notice: null });
    try {
      const uploaded = await client.upload(file);
      // The server forgets the name, which may identify a patient; this tab can show it.
      keepFiles(context, [{ ...uploaded, filename: file.name }]);
      store.set({ fileId: uploaded.id, box: null, spoken: `${file.name} is attached.` });
    } catch (error) {
      report(context, error);
    } finally {
      store.set({ uploading: null });
    }
  }

  return { open, startNew, remove, attach };
}
