import { useApp, useAppState } from "../view/context";
import { ConversationRow } from "./ConversationRow";
import { Icon } from "./Icon";
import { SidebarFoot } from "./SidebarFoot";

/** `open` is whether it lies over the page, where it has no place of its own. */
export function Sidebar({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { actions } = useApp();
  const conversations = useAppState((state) => state.conversations);
  const query = useAppState((state) => state.query);
  const startNew = (): void => {
    actions.startNew();
    onClose();
    document.getElementById("message")?.focus();
  };
  return (
    <>
      {open && <button type="button" className="scrim" aria-label="Hide conversations" onClick={onClose} />}
      <nav
        className={open ? "sidebar open" : "sidebar"}
        aria-label="Conversations"
        onKeyDown={(event) => event.key === "Escape" && onClose()}
      >
        <div className="brand-row">
          <h1 className="brand">
            <Icon name="pulse" /> mmedagent
          </h1>
          <button
            type="button"
            className="icon-button wide-only"
            aria-label="Hide conversations"
            onClick={() => actions.prefer({ sidebar: false })}
          >
            <Icon name="panel" />
          </button>
        </div>
        <button type="button" className="new-button" onClick={startNew}>
          <Icon name="plus" /> New conversation
        </button>
        <label className="search">
          <Icon name="search" />
          <input
            type="search"
            aria-label="Search conversations"
            placeholder="Search"
            maxLength={200}
            value={query}
            onChange={(event) => void actions.search(event.target.value)}
          />
        </label>
        {conversations.length === 0 && (
          <p className="sidebar-empty">{query === "" ? "Your conversations will be listed here." : "None found."}</p>
        )}
        <ul className="conversations">
          {conversations.map((conversation) => (
            <ConversationRow key={conversation.id} conversation={conversation} onOpen={onClose} />
          ))}
        </ul>
        <SidebarFoot onOpen={onClose} />
      </nav>
    </>
  );
}
