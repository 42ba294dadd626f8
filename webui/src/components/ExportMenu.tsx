import { callsOf, type Turn } from "../state/turns";
import { useApp } from "../view/context";
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
      {fileId !== null &&
        masks.map((mask) => (
          <button key={mask.sha256} type="button" onClick={() => void actions.exportMask(fileId, mask)}>
            Mask{mask.label === "" ? "" : `: ${mask.label}`} (NIfTI)
          </button>
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
