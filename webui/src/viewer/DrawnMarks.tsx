import { useRef, type KeyboardEvent } from "react";
import { boxText, moveBox, resizeBox, type Box } from "../state/boxes";
import { arrowOf } from "./controls";
import { lengthText } from "./DraftMark";
import type { Position } from "./geometry";
import { BoxRect } from "./Marks";
import { clampPosition, handlePosition, HANDLES } from "./shapes";
import { usePlacedMarks } from "./usePlacedMarks";
import { useShapes, useViewer, useViewing } from "./viewing";

const STEP = 0.01;

type Nudge = (by: Position, shift: boolean) => void;

/** What a person has drawn: it can be caught with the pointer, and each part with the keyboard. */
export function DrawnMarks() {
  const { shapes } = useViewing();
  const { boxes, points, polygon, ruler } = useShapes();
  const root = useRef<SVGGElement>(null);
  usePlacedMarks(root);
  return (
    <g ref={root} className="drawn">
      {boxes.map((box, index) => (
        <DrawnBox
          key={index}
          box={box}
          name={boxes.length === 1 ? "Your box" : `Your box ${index + 1} of ${boxes.length}`}
          onChange={(changed) => shapes.set({ boxes: boxes.with(index, changed) })}
          onRemove={() => shapes.set({ boxes: boxes.toSpliced(index, 1) })}
        />
      ))}
      {polygon !== null && <DrawnPolygon polygon={polygon} />}
      {points.map((point, index) => (
        <Knob
          key={index}
          className="dot"
          at={point}
          label={`Your point ${index + 1}`}
          onMove={(to) => shapes.set({ points: points.with(index, to) })}
          onRemove={() => shapes.set({ points: points.toSpliced(index, 1) })}
        />
      ))}
      {ruler !== null && <DrawnRuler from={ruler[0]} to={ruler[1]} />}
    </g>
  );
}

interface DrawnBoxProps {
  box: Box;
  name: string;
  onChange: (box: Box) => void;
  onRemove: () => void;
}

function DrawnBox({ box, name, onChange, onRemove }: DrawnBoxProps) {
  const mode = useViewer((state) => state.mode);
  const onNudge: Nudge = ([x, y], shift) => onChange((shift ? resizeBox : moveBox)(box, x * STEP, y * STEP));
  return (
    <>
      <g
        className="in-frame"
        tabIndex={0}
        role="img"
        aria-label={`${name} ${boxText(box)}. Arrow keys move it, with Shift they resize it, Delete removes it.`}
        onKeyDown={(event) => onShapeKey(event, onNudge, onRemove)}
      >
        <BoxRect box={box} />
      </g>
      {mode === "box" &&
        HANDLES.map((handle) => {
          const [x, y] = handlePosition(box, handle);
          return (
            <rect key={handle.join()} className="handle" data-x={x} data-y={y} x={-4} y={-4} width={8} height={8} />
          );
        })}
    </>
  );
}

function DrawnPolygon({ polygon }: { polygon: readonly Position[] }) {
  const { shapes } = useViewing();
  const mode = useViewer((state) => state.mode);
  return (
    <>
      <g className="in-frame">
        <polygon className="line" points={polygon.map(([x, y]) => `${x},${y}`).join(" ")} />
      </g>
      {mode === "polygon" &&
        polygon.map((corner, index) => (
          <Knob
            key={index}
            className="handle"
            at={corner}
            label={`Corner ${index + 1} of ${polygon.length}`}
            onMove={(to) => shapes.set({ polygon: polygon.with(index, to) })}
            onRemove={() => polygon.length > 3 && shapes.set({ polygon: polygon.toSpliced(index, 1) })}
          />
        ))}
    </>
  );
}

function DrawnRuler({ from, to }: { from: Position; to: Position }) {
  const { shapes, actions } = useViewing();
  const info = useViewer((state) => state.info);
  const remove = (): void => actions.setRuler(null);
  return (
    <>
      <g className="in-frame">
        <path className="line" d={`M${from.join(" ")}L${to.join(" ")}`} />
      </g>
      <Knob
        className="dot"
        at={from}
        label="First end of the ruler"
        onMove={(moved) => shapes.set({ ruler: [moved, to] })}
        onRemove={remove}
      />
      <Knob
        className="dot"
        at={to}
        label={`Second end of the ruler, ${lengthText(info, [from, to])}`}
        onMove={(moved) => shapes.set({ ruler: [from, moved] })}
        onRemove={remove}
      />
      <g data-x={to[0]} data-y={to[1]}>
        <text className="tag" x={8} y={-8}>
          {lengthText(info, [from, to])}
        </text>
      </g>
    </>
  );
}

interface KnobProps {
  className: string;
  at: Position;
  label: string;
  onMove: (to: Position) => void;
  onRemove: () => void;
}

/** One position that the keyboard can move and remove. */
function Knob({ className, at: [x, y], label, onMove, onRemove }: KnobProps) {
  const onNudge: Nudge = (by, shift) => {
    const step = shift ? STEP * 5 : STEP;
    onMove(clampPosition([x + by[0] * step, y + by[1] * step]));
  };
  return (
    <circle
      className={className}
      data-x={x}
      data-y={y}
      r={5}
      tabIndex={0}
      role="img"
      aria-label={`${label}. Arrow keys move it, Delete removes it.`}
      onKeyDown={(event) => onShapeKey(event, onNudge, onRemove)}
    />
  );
}

function onShapeKey(event: KeyboardEvent, onNudge: Nudge, onRemove: () => void): void {
  const arrow = arrowOf(event.key);
  if (event.key === "Delete" || event.key === "Backspace") onRemove();
  else if (arrow !== null) onNudge(arrow, event.shiftKey);
  else return;
  event.preventDefault();
  event.stopPropagation();
}
