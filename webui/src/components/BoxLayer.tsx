import { useRef, type KeyboardEvent, type PointerEvent } from "react";
import { boxBetween, boxText, moveBox, resizeBox, type Box } from "../state/boxes";
import { fractionAt, type Overlay } from "../state/overlays";
import { useApp, useAppState } from "../view/context";

const STEP = 0.01;
const ARROWS: Record<string, [number, number]> = {
  ArrowLeft: [-STEP, 0],
  ArrowRight: [STEP, 0],
  ArrowUp: [0, -STEP],
  ArrowDown: [0, STEP],
};

/** The boxes that were found, and the one that the person draws. */
export function BoxLayer({ overlays }: { overlays: readonly Overlay[] }) {
  const { actions } = useApp();
  const drawn = useAppState((state) => state.box);
  const start = useRef<[number, number] | null>(null);

  const at = (event: PointerEvent<SVGSVGElement>): [number, number] =>
    fractionAt(event.clientX, event.clientY, event.currentTarget.getBoundingClientRect());
  const onDown = (event: PointerEvent<SVGSVGElement>): void => {
    if (event.button !== 0) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    start.current = at(event);
    actions.setBox(null);
  };
  const onMove = (event: PointerEvent<SVGSVGElement>): void => {
    if (start.current !== null) actions.setBox(boxBetween(start.current, at(event)));
  };
  const onUp = (): void => {
    start.current = null;
  };

  return (
    <svg className="boxes" onPointerDown={onDown} onPointerMove={onMove} onPointerUp={onUp} onPointerCancel={onUp}>
      {overlays.map(
        (overlay) => overlay.box !== null && <Outline key={overlay.id} overlay={overlay} box={overlay.box} />,
      )}
      {drawn !== null && <DrawnBox box={drawn} />}
    </svg>
  );
}

const place = ([x1, y1, x2, y2]: Box) => ({
  x: `${x1 * 100}%`,
  y: `${y1 * 100}%`,
  width: `${(x2 - x1) * 100}%`,
  height: `${(y2 - y1) * 100}%`,
});

function Outline({ overlay, box }: { overlay: Overlay; box: Box }) {
  return (
    <rect className={overlay.callId === null ? "box asked" : "box"} {...place(box)} stroke={overlay.color}>
      <title>{overlay.label}</title>
    </rect>
  );
}

function DrawnBox({ box }: { box: Box }) {
  const { actions } = useApp();
  const onKey = (event: KeyboardEvent): void => {
    const arrow = ARROWS[event.key];
    if (event.key === "Delete" || event.key === "Backspace") actions.setBox(null);
    else if (arrow !== undefined) actions.setBox((event.shiftKey ? resizeBox : moveBox)(box, ...arrow));
    else return;
    event.preventDefault();
  };
  return (
    <rect
      className="box drawn"
      {...place(box)}
      tabIndex={0}
      role="img"
      aria-label={`Your box ${boxText(box)}`}
      onKeyDown={onKey}
    />
  );
}
