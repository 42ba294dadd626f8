import { useEffect, useRef } from "react";
import { turnsOf } from "../state/app";
import { useAppState } from "../view/context";
import { TurnView } from "./TurnView";

const NEAR_END = 120;

export function Thread() {
  const turns = useAppState(turnsOf);
  const loading = useAppState((state) => state.loadingItems);
  const frame = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const count = turns.length;

  useEffect(() => {
    atEnd.current = true;
  }, [count]);

  // The view follows what arrives, unless the person has scrolled up to read.
  useEffect(() => {
    const element = frame.current;
    if (element !== null && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [turns]);

  const onScroll = (): void => {
    const element = frame.current;
    if (element !== null) atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END;
  };

  return (
    <div className="thread" ref={frame} onScroll={onScroll} tabIndex={0} role="region" aria-label="Messages">
      {loading && turns.length === 0 && <p className="thread-loading">Loading the conversation…</p>}
      {turns.map((turn, index) => (
        <TurnView key={turn.id} turn={turn} newImage={turn.fileId !== turns[index - 1]?.fileId} />
      ))}
    </div>
  );
}
