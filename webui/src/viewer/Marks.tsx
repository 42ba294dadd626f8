import { useRef } from "react";
import type { Box } from "../state/boxes";
import { opacityOf, type Overlay } from "../state/overlays";
import { useApp, useAppState, useLoaded } from "../view/context";
import { DraftMark } from "./DraftMark";
import { DrawnMarks } from "./DrawnMarks";
import { usePlacedMarks } from "./usePlacedMarks";

interface MarksProps {
  overlays: readonly Overlay[];
  lit: ReadonlySet<string>;
  strength: (overlay: Overlay) => number;
}

/** Lines and handles over the frame. */
export function Marks({ overlays, lit, strength }: MarksProps) {
  const results = useRef<SVGGElement>(null);
  usePlacedMarks(results);
  return (
    <svg className="marks">
      <g ref={results}>
        {overlays.map((overlay) => (
          <Result key={overlay.id} overlay={overlay} lit={lit.has(overlay.id)} strength={strength(overlay)} />
        ))}
      </g>
      <DrawnMarks />
      <DraftMark />
    </svg>
  );
}

function Result({ overlay, lit, strength }: { overlay: Overlay; lit: boolean; strength: number }) {
  const { box, mask, points, color } = overlay;
  const opacity = useAppState((state) => (mask === null ? opacityOf(state, overlay) : 1));
  const name = `result${lit ? " lit" : ""}${overlay.callId === null ? " asked" : ""}`;
  return (
    <g className={name} style={{ opacity: strength * opacity }} stroke={color} fill={color}>
      <g className="in-frame">
        {box !== null && <BoxRect box={box} />}
        {mask !== null && <Outline sha256={mask} />}
      </g>
      {points.map(([x, y]) => (
        <circle key={`${x},${y}`} className="dot" data-x={x} data-y={y} r={4} />
      ))}
      {box !== null && overlay.callId !== null && (
        <g data-x={box[0]} data-y={box[1]}>
          <text className="tag" x={2} y={-5}>
            {overlay.label}
          </text>
        </g>
      )}
    </g>
  );
}

export function BoxRect({ box: [x1, y1, x2, y2] }: { box: Box }) {
  return <rect className="line" x={x1} y={y1} width={x2 - x1} height={y2 - y1} />;
}

function Outline({ sha256 }: { sha256: string }) {
  const { images } = useApp();
  const mask = useLoaded(sha256, images.mask) ?? null;
  if (mask === null) return null;
  return <path className="line" d={mask.path} transform={`scale(${1 / mask.width} ${1 / mask.height})`} />;
}
