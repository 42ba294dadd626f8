import { useLayoutEffect, useRef, type ClipboardEvent, type KeyboardEvent } from "react";
import { canSend, isRunning, turnsOf } from "../state/app";
import { boxText } from "../state/boxes";
import { lastFileId } from "../state/turns";
import { describeFrame } from "../state/words";
import { useApp, useAppState } from "../view/context";
import { Icon } from "./Icon";
import { Thumbnail } from "./Thumbnail";

const LONGEST = 20_000;

export function Composer() {
  const { actions } = useApp();
  const text = useAppState((state) => state.text);
  const field = useRef<HTMLTextAreaElement>(null);

  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);

  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void actions.send();
  };
  const onPaste = (event: ClipboardEvent): void => {
    const file = event.clipboardData.files[0];
    if (file === undefined) return;
    event.preventDefault();
    void actions.attach(file);
  };

  return (
    <form
      className="composer"
      aria-label="Message"
      onSubmit={(event) => {
        event.preventDefault();
        void actions.send();
      }}
    >
      <Attached />
      <textarea
        id="message"
        ref={field}
        rows={1}
        maxLength={LONGEST}
        placeholder="Ask about the image…"
        aria-label="Your message. Enter sends, Shift and Enter starts a new line."
        value={text}
        onChange={(event) => actions.setText(event.target.value)}
        onKeyDown={onKey}
        onPaste={onPaste}
      />
      <div className="composer-row">
        <AttachButton />
        <span className="composer-hint">Enter sends · Shift+Enter new line · Esc stops</span>
        <SendButton />
      </div>
    </form>
  );
}

function AttachButton() {
  const { actions } = useApp();
  const uploading = useAppState((state) => state.uploading !== null);
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" className="quiet-button" disabled={uploading} onClick={() => input.current?.click()}>
        <Icon name="clip" /> Attach image
      </button>
      {/* No `accept`: DICOM files often have no ending, and the server decides by the bytes. */}
      <input
        ref={input}
        type="file"
        hidden
        aria-label="Image file"
        onChange={(event) => {
          const file = event.target.files?.[0];
          if (file !== undefined) void actions.attach(file);
          event.target.value = "";
        }}
      />
    </>
  );
}

function SendButton() {
  const { actions } = useApp();
  const running = useAppState(isRunning);
  const ready = useAppState(canSend);
  if (running) {
    return (
      <button type="button" className="round-button stop" aria-label="Stop" title="Stop (Esc)" onClick={actions.stop}>
        <Icon name="stop" />
      </button>
    );
  }
  return (
    <button type="submit" className="round-button" aria-label="Send" title="Send (Enter)" disabled={!ready}>
      <Icon name="send" />
    </button>
  );
}

/** The image and the box that go with the next message. */
function Attached() {
  const { actions } = useApp();
  const uploading = useAppState((state) => state.uploading);
  const file = useAppState((state) => (state.fileId === null ? undefined : state.files[state.fileId]));
  const box = useAppState((state) => state.box);
  const removable = useAppState((state) => state.fileId !== lastFileId(turnsOf(state)));
  if (uploading === null && file === undefined) return null;
  return (
    <div className="attached">
      {uploading !== null && (
        <span className="chip">
          <span className="spinner" aria-hidden="true" /> Uploading {uploading}
        </span>
      )}
      {uploading === null && file !== undefined && (
        <span className="chip">
          <Thumbnail fileId={file.id} />
          <span className="chip-words">
            <strong>{file.filename}</strong>
            <small>{describeFrame(file.frame)}</small>
          </span>
          {removable && (
            <button
              type="button"
              className="icon-button"
              aria-label={`Remove ${file.filename}`}
              onClick={actions.detach}
            >
              <Icon name="close" />
            </button>
          )}
        </span>
      )}
      {box !== null && (
        <span className="chip">
          <Icon name="box" /> Box {boxText(box)}
          <button
            type="button"
            className="icon-button"
            aria-label="Remove the box"
            onClick={() => actions.setBox(null)}
          >
            <Icon name="close" />
          </button>
        </span>
      )}
    </div>
  );
}
