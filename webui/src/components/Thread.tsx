import { useEffect, useMemo, useRef, useState } from "react";
import { allTurnsOf, turnsOf } from "../state/app";
import { forksOf } from "../state/branches";
import { useAppState } from "../view/context";
import { TurnView } from "./TurnView";

const NEAR_END = 120;
/** Turns that are on the page at first, and how many more come with a press: a long conversation must open at once. */
const WINDOW = 20;

export function Thread() {
  const turns = useAppState(turnsOf);
  const all = useAppState(allTurnsOf);
  const loading = useAppState((state) => state.loadingItems);
  const current = useAppState((state) => state.current);
  const forks = useMemo(() => forksOf(all), [all]);
  const [more, setMore] = useState({ current, count: 0 });
  const frame = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const count = turns.length;
  const first = Math.max(0, count - WINDOW - (more.current === current ? more.count : 0));

  useEffect(() => {
    atEnd.current = true;
  }, [count, current]);

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
      <h2 className="visually-hidden">Messages</h2>
      {loading && count === 0 && <p className="thread-loading">Loading the conversation…</p>}
      {first > 0 && (
        <button
          type="button"
          className="quiet-button earlier"
          onClick={() => setMore({ current, count: count - first })}
        >
          Show earlier messages ({first})
        </button>
      )}
      {turns.slice(first).map((turn, index) => {
        const siblings = forks.get(turn.id) ?? [turn];
        return (
          <TurnView
            key={turn.id}
            turn={turn}
            newImage={turn.fileId !== turns[first + index - 1]?.fileId}
            branch={siblings.indexOf(turn) + 1}
            branches={siblings.length}
          />
        );
      })}
    </div>
  );
}
