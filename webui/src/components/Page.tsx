import { useEffect, useState, type DragEvent } from "react";
import { isRunning, turnsOf } from "../state/app";
import { useApp, useAppState } from "../view/context";
import { Composer } from "./Composer";
import { Icon } from "./Icon";
import { KeyDialog } from "./KeyDialog";
import { Notice } from "./Notice";
import { Sidebar } from "./Sidebar";
import { Thread } from "./Thread";
import { Viewer } from "./Viewer";
import { Welcome } from "./Welcome";

const carriesFiles = (event: DragEvent): boolean => event.dataTransfer.types.includes("Files");

export function Page() {
  const { actions } = useApp();
  const empty = useAppState((state) => turnsOf(state).length === 0 && !state.loadingItems);
  const spoken = useAppState((state) => state.spoken);
  const [menu, setMenu] = useState(false);
  const [dragging, setDragging] = useState(false);
  useStopOnEscape();

  const drop = (event: DragEvent): void => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    setDragging(false);
    const file = event.dataTransfer.files[0];
    if (file !== undefined) void actions.attach(file);
  };
  const dragOver = (event: DragEvent): void => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    setDragging(true);
  };
  const dragLeave = (event: DragEvent): void => {
    if (event.relatedTarget === null) setDragging(false);
  };

  return (
    <div className="page" onDragOver={dragOver} onDragLeave={dragLeave} onDrop={drop}>
      <Sidebar open={menu} onClose={() => setMenu(false)} />
      <main className="chat">
        <header className="chat-head">
          <button
            type="button"
            className="icon-button menu-button"
            aria-label="Show conversations"
            onClick={() => setMenu(true)}
          >
            <Icon name="menu" />
          </button>
          <p className="research" role="note">
            <strong>Research use only.</strong> Not for diagnosis or treatment.
          </p>
        </header>
        {empty ? <Welcome /> : <Thread />}
        <div className="dock">
          <Notice />
          <Composer />
        </div>
      </main>
      <Viewer />
      <KeyDialog />
      <p className="visually-hidden" role="status" aria-live="polite">
        {spoken}
      </p>
      {dragging && <div className="drop-hint">Drop the image to attach it</div>}
    </div>
  );
}

function useStopOnEscape(): void {
  const { actions } = useApp();
  const running = useAppState(isRunning);
  useEffect(() => {
    if (!running) return undefined;
    const onKey = (event: KeyboardEvent): void => {
      if (event.key === "Escape") actions.stop();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [running, actions]);
}
