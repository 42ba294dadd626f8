import { useEffect, useState, type CSSProperties, type DragEvent, type MouseEvent } from "react";
import { isRunning, turnsOf } from "../state/app";
import { useApp, useAppState } from "../view/context";
import { droppedFiles } from "../view/files";
import { isStopKey } from "../view/keys";
import { Composer } from "./Composer";
import { KeyDialog } from "./KeyDialog";
import { Notice } from "./Notice";
import { PaneTabs } from "./PaneTabs";
import { ReportPanel } from "./ReportPanel";
import { Sidebar } from "./Sidebar";
import { Splitter } from "./Splitter";
import { Thread } from "./Thread";
import { TopBar } from "./TopBar";
import { Viewer } from "./Viewer";
import { Welcome } from "./Welcome";
import { WorkersPage } from "./WorkersPage";

const carriesFiles = (event: DragEvent): boolean => event.dataTransfer.types.includes("Files");

export function Page() {
  const { actions } = useApp();
  const page = useAppState((state) => state.page);
  const pane = useAppState((state) => state.pane);
  const { sidebar, split } = useAppState((state) => state.preferences);
  const spoken = useAppState((state) => state.spoken);
  const [drawer, setDrawer] = useState(false);
  const [dragging, setDragging] = useState(false);
  useStopOnEscape();

  const drop = (event: DragEvent): void => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    setDragging(false);
    void droppedFiles(event.dataTransfer).then(actions.attach);
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
    <div
      className={`page on-${page} show-${pane}${sidebar ? "" : " without-sidebar"}`}
      style={{ "--share": split } as CSSProperties}
      onDragOver={dragOver}
      onDragLeave={dragLeave}
      onDrop={drop}
    >
      <SkipLink />
      <Sidebar open={drawer} onClose={() => setDrawer(false)} />
      <main className="chat">
        <TopBar onMenu={() => setDrawer(true)} />
        <Notice />
        {page === "workers" ? <WorkersPage /> : <Chat />}
      </main>
      {page === "chat" && (
        <>
          <Splitter />
          <Viewer />
          <PaneTabs />
        </>
      )}
      <KeyDialog />
      <p className="visually-hidden" role="status" aria-live="polite">
        {spoken}
      </p>
      {dragging && <div className="drop-hint">Drop images or a folder of a series to attach them</div>}
    </div>
  );
}

function Chat() {
  const empty = useAppState((state) => turnsOf(state).length === 0 && !state.loadingItems);
  const reading = useAppState((state) => state.report !== null);
  if (reading) return <ReportPanel />;
  return (
    <>
      {empty ? <Welcome /> : <Thread />}
      <div className="dock">
        <Composer />
      </div>
    </>
  );
}

/** The address keeps the conversation, so the link moves the focus itself. */
function SkipLink() {
  const chatting = useAppState((state) => state.page === "chat" && state.report === null);
  if (!chatting) return null;
  const skip = (event: MouseEvent): void => {
    event.preventDefault();
    document.getElementById("message")?.focus();
  };
  return (
    <a className="skip-link" href="#message" onClick={skip}>
      Skip to the message
    </a>
  );
}

function useStopOnEscape(): void {
  const { actions } = useApp();
  const running = useAppState(isRunning);
  useEffect(() => {
    if (!running) return undefined;
    const onKey = (event: KeyboardEvent): void => {
      if (isStopKey(event, document)) void actions.stop();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [running, actions]);
}
