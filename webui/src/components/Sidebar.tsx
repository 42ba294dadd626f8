import { useState } from "react";
import type { Conversation } from "../api/types";
import { useApp, useAppState } from "../view/context";
import { Icon } from "./Icon";
import { Workers } from "./Workers";

export function Sidebar({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { actions } = useApp();
  const conversations = useAppState((state) => state.conversations);
  const startNew = (): void => {
    actions.startNew();
    onClose();
  };
  return (
    <>
      {open && <button type="button" className="scrim" aria-label="Hide conversations" onClick={onClose} />}
      <nav
        className={open ? "sidebar open" : "sidebar"}
        aria-label="Conversations"
        onKeyDown={(event) => event.key === "Escape" && onClose()}
      >
        <h1 className="brand">
          <Icon name="pulse" /> mmedagent
        </h1>
        <button type="button" className="new-button" onClick={startNew}>
          <Icon name="plus" /> New conversation
        </button>
        {conversations.length === 0 && <p className="sidebar-empty">Your conversations will be listed here.</p>}
        <ul className="conversations">
          {conversations.map((conversation) => (
            <Row key={conversation.id} conversation={conversation} onOpen={onClose} />
          ))}
        </ul>
        <Workers />
      </nav>
    </>
  );
}

/** Deleting takes a second press; leaving the button takes the question back. */
function Row({ conversation, onOpen }: { conversation: Conversation; onOpen: () => void }) {
  const { actions } = useApp();
  const current = useAppState((state) => state.current === conversation.id);
  const [asking, setAsking] = useState(false);
  const title = conversation.title || "Untitled conversation";
  const open = (): void => {
    void actions.open(conversation.id);
    onOpen();
  };
  const remove = (): void => {
    if (asking) void actions.remove(conversation.id);
    else setAsking(true);
  };
  return (
    <li className={current ? "conversation current" : "conversation"}>
      <button
        type="button"
        className="conversation-open"
        aria-current={current ? "page" : undefined}
        title={title}
        onClick={open}
      >
        {title}
      </button>
      <button
        type="button"
        className={asking ? "confirm-button" : "icon-button"}
        aria-label={asking ? `Really delete ${title}` : `Delete ${title}`}
        onClick={remove}
        onBlur={() => setAsking(false)}
      >
        {asking ? "Delete" : <Icon name="trash" />}
      </button>
    </li>
  );
}
