/** What a person can take away. */

import type { Artifact, ExportFormat } from "../api/types";
import { NEW } from "./app";
import { report, type ActionContext } from "./context";
import type { Turn } from "./turns";

export function exportActions(context: ActionContext) {
  const { store, client, save } = context;

  async function download(name: string, fetch: () => Promise<Blob>): Promise<void> {
    try {
      save(await fetch(), name);
      store.set({ spoken: `${name} is saved.` });
    } catch (error) {
      report(context, error);
    }
  }

  /** The image of the turn with everything found on it. */
  async function exportOverlay({ responseId }: Turn): Promise<void> {
    if (responseId !== null) await download(`overlay-${responseId}.png`, () => client.overlayPicture(responseId));
  }

  /** A mask in the geometry of the file that it was made from. */
  const exportMask = (fileId: string, { sha256 }: Artifact): Promise<void> =>
    download(`mask-${sha256.slice(0, 8)}.nii.gz`, () => client.maskVolume(fileId, sha256));

  async function exportConversation(format: ExportFormat): Promise<void> {
    const { current } = store.get();
    if (current !== NEW) await download(`${current}.${format}`, () => client.export(current, format));
  }

  const saveArtifact = ({ sha256, kind, media_type }: Artifact): Promise<void> =>
    download(`${kind}-${sha256.slice(0, 8)}${media_type === "image/png" ? ".png" : ""}`, () => client.artifact(sha256));

  return { exportOverlay, exportMask, exportConversation, saveArtifact };
}
