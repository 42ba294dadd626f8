import type { Artifact } from "../api/types";
import { callsOf, type Turn } from "../state/turns";
import { useApp, useAppState } from "../view/context";
import { Menu } from "./Menu";

/** What can be taken away: of this turn its overlay and masks, and the whole conversation. */
export function ExportMenu({ turn }: { turn: Turn }) {
  const { actions } = useApp();
  const { fileId } = turn;
  const masks = callsOf(turn).flatMap(
    (call) => call.output?.artifacts.filter((artifact) => artifact.kind === "mask") ?? [],
  );
  return (
    <Menu icon="download" label="Export" words>
      <h3>This turn</h3>
      <button type="button" disabled={fileId === null} onClick={() => void actions.exportOverlay(turn)}>
        Image with overlay (PNG)
      </button>
      {masks.map((mask) => (
        <MaskButton key={mask.sha256} mask={mask} fileId={fileId} />
      ))}
      <h3>This conversation</h3>
      <button type="button" onClick={() => void actions.exportConversation("html")}>
        Printable page (HTML)
      </button>
      <button type="button" onClick={() => void actions.exportConversation("zip")}>
        Everything (ZIP)
      </button>
      <button type="button" onClick={() => void actions.exportConversation("json")}>
        Data (JSON)
      </button>
    </Menu>
  );
}

/** In the geometry of its source where the source has one; else as the picture that it is. */
function MaskButton({ mask, fileId }: { mask: Artifact; fileId: string | null }) {
  const { actions } = useApp();
  const placed = useAppState((state) => fileId !== null && state.files[fileId]?.has_geometry === true);
  const name = mask.label === "" ? "Mask" : `Mask: ${mask.label}`;
  const save = (): Promise<void> =>
    placed && fileId !== null ? actions.exportMask(fileId, mask) : actions.saveArtifact(mask);
  return (
    <button type="button" onClick={() => void save()}>
      {name} ({placed ? "NIfTI" : "PNG"})
    </button>
  );
}
