import { useApp, useAppState } from "../view/context";
import { Icon } from "./Icon";

/** `onMenu` opens the list of conversations where it has no place of its own. */
export function TopBar({ onMenu }: { onMenu: () => void }) {
  const { actions } = useApp();
  const sidebar = useAppState((state) => state.preferences.sidebar);
  return (
    <header className="chat-head">
      <button type="button" className="icon-button menu-button" aria-label="Show conversations" onClick={onMenu}>
        <Icon name="menu" />
      </button>
      {!sidebar && (
        <button
          type="button"
          className="icon-button wide-only"
          aria-label="Show conversations"
          onClick={() => actions.prefer({ sidebar: true })}
        >
          <Icon name="panel" />
        </button>
      )}
      <p className="research" role="note">
        <strong>Research use only.</strong> Not for diagnosis or treatment.
      </p>
    </header>
  );
}
