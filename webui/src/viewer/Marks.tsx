import { useLayoutEffect, useRef } from "react";
import type { Box } from "../state/boxes";
import type { Overlay } from "../state/overlays";
import { useApp, useLoaded } from "../view/context";
import { DraftMark } from "./DraftMark";
import { DrawnMarks } from "./DrawnMarks";
import { toStage } from "./geometry";
import { onRefresh } from "./painting";
import { placedOf } from "./state";
import { useViewing } from "./viewing";

interface MarksProps {
  overlays: readonly Overlay[];
  lit: ReadonlySet<string>;
  strength: (overlay: Overlay) => number;
}

/** Lines and handles over the frame.
 *
 * Groups `in-frame` are drawn in fractions of the frame. Elements with `data-x` and `data-y` keep their size and stand at
 * that position of the frame. Both follow zoom and pan without React.
 */
export function Marks({ overlays, lit, strength }: MarksProps) {
  const { store } = useViewing();
  const svg = useRef<SVGSVGElement>(null);
  // Runs after each render too: it may have brought new elements.
  useLayoutEffect(() =>
    onRefresh(store, (state) => {
      const placed = placedOf(state);
      const { left, top, width, height } = placed;
      for (const group of svg.current?.querySelectorAll<SVGGElement>(".in-frame") ?? []) {
        group.setAttribute("transform", `translate(${left} ${top}) scale(${width} ${height})`);
      }
      for (const element of svg.current?.querySelectorAll<SVGGElement>("[data-x]") ?? []) {
        const [x, y] = toStage([Number(element.dataset["x"]), Number(element.dataset["y"])], placed);
        element.setAttribute("transform", `translate(${x} ${y})`);
      }
    }),
  );
  return (
    <svg ref={svg} className="marks">
      {overlays.map((overlay) => (
        <Result key={overlay.id} overlay={overlay} lit={lit.has(overlay.id)} strength={strength(overlay)} />
      ))}
      <DrawnMarks />
      <DraftMark />
    </svg>
  );
}

function Result({ overlay, lit, strength }: { overlay: Overlay; lit: boolean; strength: number }) {
  const { box, mask, points, color } = overlay;
  const name = `result${lit ? " lit" : ""}${overlay.callId === null ? " asked" : ""}`;
  return (
    <g className={name} style={{ opacity: strength }} stroke={color} fill={color}>
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
