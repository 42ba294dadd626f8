import { useEffect, useLayoutEffect, useRef, type KeyboardEvent, type PointerEvent } from "react";
import type { Overlay } from "../state/overlays";
import { useApp } from "../view/context";
import { Hud } from "./Hud";
import { Marks } from "./Marks";
import { MaskLayer } from "./MaskLayer";
import { onRefresh, startFetching, startPainting } from "./painting";
import { placedOf } from "./state";
import { useViewer, useViewing } from "./viewing";
import type { Position } from "./geometry";

/** CSS pixels a frame pixel from which on single pixels are told apart. */
const SHARP_FROM = 4;
const KEYS =
  "Arrow keys, Enter and Escape use the chosen tool; Page Up and Page Down change the slice; plus, minus and 0 zoom.";

interface StageProps {
  label: string;
  overlays: readonly Overlay[];
  lit: ReadonlySet<string>;
  /** How strongly an overlay is drawn, 0 to 1. */
  strength: (overlay: Overlay) => number;
}

/** The frame and all that is drawn over it. */
export function Stage({ label, overlays, lit, strength }: StageProps) {
  const { controls } = useViewing();
  const stage = useRef<HTMLDivElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const spaceHeld = useRef(false);
  const mode = useViewer((state) => state.mode);
  const failed = useViewer((state) => state.failed);
  usePlacing(stage, frame);
  useWheel(stage);

  const at = (event: PointerEvent): Position => positionOn(stage.current, event.clientX, event.clientY);
  const onDown = (event: PointerEvent): void => {
    stage.current?.setPointerCapture(event.pointerId);
    controls.down({ id: event.pointerId, stage: at(event), button: event.button, pan: spaceHeld.current });
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.target !== stage.current || event.altKey || event.metaKey || event.ctrlKey) return;
    if (event.key === " ") spaceHeld.current = true;
    else if (!controls.key(event.key, event.shiftKey)) return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={stage}
      className={`stage ${mode}`}
      tabIndex={0}
      role="application"
      aria-label={`${label}. ${KEYS}`}
      onPointerDown={onDown}
      onPointerMove={(event) => controls.move(event.pointerId, at(event))}
      onPointerUp={(event) => controls.up(event.pointerId)}
      onPointerCancel={(event) => controls.up(event.pointerId)}
      onPointerLeave={controls.leave}
      onContextMenu={(event) => event.preventDefault()}
      onKeyDown={onKeyDown}
      onKeyUp={() => (spaceHeld.current = false)}
      onBlur={() => (spaceHeld.current = false)}
    >
      <div ref={frame} className="frame">
        <Pixels />
        {overlays.map(
          (overlay) =>
            overlay.mask !== null && <MaskLayer key={overlay.id} overlay={overlay} strength={strength(overlay)} />,
        )}
      </div>
      <Marks overlays={overlays} lit={lit} strength={strength} />
      <Hud />
      {failed && <p className="no-image">This image could not be loaded.</p>}
    </div>
  );
}

/** The canvas of the frame itself, fed without React. */
function Pixels() {
  const { studies } = useApp();
  const { store, fileId } = useViewing();
  const info = useViewer((state) => state.info);
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => startFetching(store, studies, fileId), [store, studies, fileId]);
  useEffect(() => (canvas.current === null ? undefined : startPainting(store, canvas.current)), [store]);
  return <canvas ref={canvas} className="pixels" width={info.width} height={info.height} />;
}

function positionOn(element: Element | null, x: number, y: number): Position {
  const rect = element?.getBoundingClientRect();
  return [x - (rect?.left ?? 0), y - (rect?.top ?? 0)];
}

/** Tells the state how large the stage is, and puts the frame where the state says. */
function usePlacing(
  stage: React.RefObject<HTMLDivElement | null>,
  frame: React.RefObject<HTMLDivElement | null>,
): void {
  const { store } = useViewing();
  useLayoutEffect(() => {
    if (stage.current === null) return undefined;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined)
        store.set({ stage: { width: entry.contentRect.width, height: entry.contentRect.height } });
    });
    observer.observe(stage.current);
    return () => observer.disconnect();
  }, [store, stage]);
  useLayoutEffect(
    () =>
      onRefresh(store, (state) => {
        if (frame.current === null) return;
        const { left, top, width, height } = placedOf(state);
        const [x, y] = [width / state.shape.width, height / state.shape.height];
        frame.current.style.transform = `translate(${left}px, ${top}px) scale(${x}, ${y})`;
        frame.current.classList.toggle("sharp", x >= SHARP_FROM);
      }),
    [store, frame],
  );
}

/** React listens to the wheel passively, so the page would scroll and zoom as well. */
function useWheel(stage: React.RefObject<HTMLDivElement | null>): void {
  const { controls } = useViewing();
  useEffect(() => {
    const element = stage.current;
    const onWheel = (event: WheelEvent): void => {
      event.preventDefault();
      controls.wheel(positionOn(element, event.clientX, event.clientY), event.deltaY, event.ctrlKey);
    };
    element?.addEventListener("wheel", onWheel, { passive: false });
    return () => element?.removeEventListener("wheel", onWheel);
  }, [controls, stage]);
}
