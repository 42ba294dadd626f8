import { useState, type KeyboardEvent } from "react";
import type { Conversation } from "../api/types";
import { useApp, useAppState } from "../view/context";
import { Icon } from "./Icon";

const LONGEST = 200;

/** One conversation of the list: opened, renamed in place, or deleted with a second press. */
export function ConversationRow({ conversation, onOpen }: { conversation: Conversation; onOpen: () => void }) {
  const { actions } = useApp();
  const current = useAppState((state) => state.current === conversation.id && state.page === "chat");
  const [naming, setNaming] = useState(false);
  const title = conversation.title || "Untitled conversation";
  if (naming) return <NameField conversation={conversation} onEnd={() => setNaming(false)} />;
  const open = (): void => {
    void actions.open(conversation.id);
    onOpen();
  };
  return (
    <li className={current ? "conversation current" : "conversation"}>
      <button
        type="button"
        className="conversation-open"
        aria-current={current ? "page" : undefined}
        title={title}
        onClick={open}
        onDoubleClick={() => setNaming(true)}
      >
        {title}
      </button>
      <button type="button" className="icon-button" aria-label={`Rename ${title}`} onClick={() => setNaming(true)}>
        <Icon name="pencil" />
      </button>
      <DeleteButton id={conversation.id} title={title} />
    </li>
  );
}

/** Deleting takes a second press; leaving the button takes the question back. */
function DeleteButton({ id, title }: { id: string; title: string }) {
  const { actions } = useApp();
  const [asking, setAsking] = useState(false);
  const remove = (): void => {
    if (asking) void actions.remove(id);
    else setAsking(true);
  };
  return (
    <button
      type="button"
      className={asking ? "confirm-button" : "icon-button"}
      aria-label={asking ? `Really delete ${title}` : `Delete ${title}`}
      onClick={remove}
      onBlur={() => setAsking(false)}
    >
      {asking ? "Delete" : <Icon name="trash" />}
    </button>
  );
}

/** Enter and leaving the field keep the new name, Escape the old one. */
function NameField({ conversation, onEnd }: { conversation: Conversation; onEnd: () => void }) {
  const { actions } = useApp();
  const [title, setTitle] = useState(conversation.title);
  const keep = (): void => {
    const name = title.trim();
    if (name !== "" && name !== conversation.title) void actions.rename(conversation.id, name);
    onEnd();
  };
  const onKey = (event: KeyboardEvent): void => {
    event.stopPropagation();
    if (event.key === "Enter") keep();
    if (event.key === "Escape") onEnd();
  };
  return (
    <li className="conversation">
      <input
        className="name-field"
        aria-label="Name of the conversation"
        autoFocus
        maxLength={LONGEST}
        value={title}
        onFocus={(event) => event.target.select()}
        onChange={(event) => setTitle(event.target.value)}
        onKeyDown={onKey}
        onBlur={keep}
      />
    </li>
  );
}
