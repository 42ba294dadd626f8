import { useLayoutEffect, useRef, type ClipboardEvent, type KeyboardEvent } from "react";
import { canSend, isRunning } from "../state/app";
import { useApp, useAppState } from "../view/context";
import { AttachButtons } from "./AttachButtons";
import { Attachments } from "./Attachments";
import { Icon } from "./Icon";
import { ToolsMenu } from "./ToolsMenu";

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
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    void actions.attach(files);
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
      <Attachments />
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
        <AttachButtons />
        <ToolsMenu />
        <span className="composer-hint">Enter sends · Shift+Enter new line · Esc stops</span>
        <SendButton />
      </div>
    </form>
  );
}

function SendButton() {
  const { actions } = useApp();
  const running = useAppState(isRunning);
  const ready = useAppState(canSend);
  if (running) {
    return (
      <button
        type="button"
        className="round-button stop"
        aria-label="Stop"
        title="Stop (Esc)"
        onClick={() => void actions.stop()}
      >
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
