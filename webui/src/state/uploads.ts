/** Sending files to the server. */

import { turnsOf, type Attachment } from "./app";
import { keepFiles, report, type ActionContext } from "./context";
import { studiesOf, type Study } from "./studies";
import { lastFileId } from "./turns";

export function uploadActions(context: ActionContext) {
  const { store, client } = context;
  const running = new Map<string, AbortController>();
  let count = 0;

  /** One after another, so that a slow line finishes the first before it begins the last. */
  async function attach(files: readonly File[]): Promise<void> {
    const studies = (await studiesOf(files)).map((study) => ({ study, id: list(study) }));
    store.set({ notice: null });
    for (const { study, id } of studies) if (isListed(id)) await send(study, id);
  }

  function list({ name }: Study): string {
    count += 1;
    const attachment: Attachment = {
      id: `upload-${count}`,
      name,
      share: 0,
      state: "sending",
      fileId: null,
      error: null,
    };
    store.set(({ attachments }) => ({ attachments: [...attachments, attachment] }));
    return attachment.id;
  }

  async function send(study: Study, id: string): Promise<void> {
    const controller = new AbortController();
    running.set(id, controller);
    try {
      const uploaded = await client.upload(study.files, (share) => change(id, { share }), controller.signal);
      // The server forgets the name, which may identify a patient; this tab can show it.
      keepFiles(context, [{ ...uploaded, filename: study.name }]);
      change(id, { state: "ready", share: 1, fileId: uploaded.id });
      if (isListed(id)) store.set({ fileId: uploaded.id, boxes: [], spoken: `${study.name} is attached.` });
    } catch (error) {
      if (controller.signal.aborted) return;
      change(id, { state: "failed", error: error instanceof Error ? error.message : "It could not be sent." });
      report(context, error);
    } finally {
      running.delete(id);
    }
  }

  const isListed = (id: string): boolean => store.get().attachments.some((each) => each.id === id);

  function change(id: string, part: Partial<Attachment>): void {
    store.set(({ attachments }) => ({
      attachments: attachments.map((each) => (each.id === id ? { ...each, ...part } : each)),
    }));
  }

  /** Takes a study out of the next message, on its way or not. */
  function detach({ id, fileId }: Attachment): void {
    running.get(id)?.abort();
    store.set((state) => ({
      attachments: state.attachments.filter((each) => each.id !== id),
      ...(fileId !== null && state.fileId === fileId ? { fileId: lastFileId(turnsOf(state)), boxes: [] } : {}),
    }));
  }

  return { attach, detach };
}
