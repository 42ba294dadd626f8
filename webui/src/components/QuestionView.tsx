import { useState, type KeyboardEvent } from "react";
import { canAsk } from "../state/app";
import { boxText } from "../state/boxes";
import type { Turn } from "../state/turns";
import { useApp, useAppState } from "../view/context";
import { Icon } from "./Icon";
import { Thumbnail } from "./Thumbnail";
import type { TurnProps } from "./TurnView";

const LONGEST = 20_000;

/** The message of a turn, with its image and boxes. Editing it makes a branch beside it. */
export function QuestionView({ turn, newImage, branch, branches }: TurnProps) {
  const { actions } = useApp();
  const idle = useAppState(canAsk);
  const [editing, setEditing] = useState(false);
  const { fileId } = turn;
  return (
    <div className="question" role="group" aria-label="Your message">
      {fileId !== null && newImage && (
        <button
          type="button"
          className="question-image"
          aria-label="Show this image"
          onClick={() => actions.choose(fileId)}
        >
          <Thumbnail fileId={fileId} />
        </button>
      )}
      {editing ? <Editor turn={turn} onEnd={() => setEditing(false)} /> : <p>{turn.text}</p>}
      {turn.boxes.map((box, index) => (
        <span className="chip" key={index}>
          <Icon name="box" /> Box {boxText(box)}
        </span>
      ))}
      {turn.rerunOf !== null && <span className="chip">Run again with other parameters</span>}
      <div className="question-foot">
        {branches > 1 && <BranchSwitch turn={turn} branch={branch} branches={branches} />}
        {!editing && (
          <button
            type="button"
            className="icon-button"
            aria-label="Edit this message"
            title="Edit"
            disabled={!idle}
            onClick={() => setEditing(true)}
          >
            <Icon name="pencil" />
          </button>
        )}
      </div>
    </div>
  );
}

function BranchSwitch({ turn, branch, branches }: Omit<TurnProps, "newImage">) {
  const { actions } = useApp();
  return (
    <span className="branches" role="group" aria-label={`Version ${branch} of ${branches}`}>
      <button
        type="button"
        className="icon-button"
        aria-label="Earlier version"
        disabled={branch === 1}
        onClick={() => actions.chooseBranch(turn, -1)}
      >
        <Icon name="left" />
      </button>
      <span aria-hidden="true">
        {branch}/{branches}
      </span>
      <button
        type="button"
        className="icon-button"
        aria-label="Later version"
        disabled={branch === branches}
        onClick={() => actions.chooseBranch(turn, 1)}
      >
        <Icon name="right" />
      </button>
    </span>
  );
}

function Editor({ turn, onEnd }: { turn: Turn; onEnd: () => void }) {
  const { actions } = useApp();
  const [text, setText] = useState(turn.text);
  const send = (): void => {
    if (text.trim() === "") return;
    onEnd();
    void actions.edit(turn, text);
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "Escape") onEnd();
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };
  return (
    <div className="question-editor">
      <textarea
        aria-label="Your message in other words"
        autoFocus
        rows={3}
        maxLength={LONGEST}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKey}
      />
      <div>
        <button type="button" className="quiet-button" onClick={onEnd}>
          Cancel
        </button>
        <button type="button" className="primary-button" disabled={text.trim() === ""} onClick={send}>
          Send
        </button>
      </div>
    </div>
  );
}
