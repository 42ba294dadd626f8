import { useApp, useAppState } from "../view/context";

/** Chooses between chat and image where there is no room for both. */
export function PaneTabs() {
  const { actions } = useApp();
  const pane = useAppState((state) => state.pane);
  return (
    <div className="pane-tabs" role="group" aria-label="Show">
      <button type="button" aria-pressed={pane === "chat"} onClick={() => actions.setPane("chat")}>
        Chat
      </button>
      <button type="button" aria-pressed={pane === "image"} onClick={() => actions.setPane("image")}>
        Image
      </button>
    </div>
  );
}
