import type { KeyboardEvent, PointerEvent } from "react";
import { clampSplit, SPLIT } from "../state/preferences";
import { useApp, useAppState } from "../view/context";

const KEYS: Record<string, number> = { ArrowLeft: SPLIT.step, ArrowRight: -SPLIT.step };

/** Between chat and viewer: drag it, or focus it and press the arrow keys. */
export function Splitter() {
  const { actions } = useApp();
  const split = useAppState((state) => state.preferences.split);
  const move = (event: PointerEvent<HTMLDivElement>): void => {
    const { currentTarget: handle, pointerId, clientX } = event;
    if (!handle.hasPointerCapture(pointerId)) return;
    const left = handle.parentElement?.querySelector("main")?.getBoundingClientRect().left ?? 0;
    actions.prefer({ split: clampSplit((window.innerWidth - clientX) / (window.innerWidth - left)) });
  };
  const onKey = (event: KeyboardEvent): void => {
    const step = KEYS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    actions.prefer({ split: clampSplit(split + step) });
  };
  return (
    <div
      className="splitter"
      role="separator"
      aria-label="Width of the image beside the chat"
      aria-orientation="vertical"
      aria-valuemin={SPLIT.least * 100}
      aria-valuemax={SPLIT.most * 100}
      aria-valuenow={Math.round(split * 100)}
      tabIndex={0}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={move}
      onKeyDown={onKey}
    />
  );
}
