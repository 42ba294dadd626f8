import { useLayoutEffect, useRef } from "react";
import type { Box } from "../state/boxes";
import type { FramesInfo } from "./api";
import { distance, toStage, type Placed, type Position } from "./geometry";
import { onRefresh } from "./painting";
import { isAtDetector, placedOf, shapeOf, type ViewerState } from "./state";
import { useViewing } from "./viewing";

const CROSS = 7;

/** What a gesture draws, and the cross of the arrow keys, while they change; written without React. */
export function DraftMark() {
  const { store } = useViewing();
  const path = useRef<SVGPathElement>(null);
  const label = useRef<SVGTextElement>(null);
  useLayoutEffect(
    () =>
      onRefresh(store, (state) => {
        const placed = placedOf(state);
        path.current?.setAttribute("d", draftPath(state, placed));
        path.current?.ownerSVGElement?.classList.toggle("drafting", state.draft !== null);
        const ruler = state.draft?.ruler ?? null;
        if (label.current === null) return;
        label.current.textContent = ruler === null ? "" : lengthText(state.info, ruler);
        const [x, y] = ruler === null ? [0, 0] : toStage(ruler[1], placed);
        label.current.setAttribute("x", String(x + 8));
        label.current.setAttribute("y", String(y - 8));
      }),
    [store],
  );
  return (
    <>
      <path ref={path} className="draft" />
      <text ref={label} className="tag" />
    </>
  );
}

/** For example `12.4 mm` or, of an X-ray whose spacing is that of the plate, `12.4 mm at the detector`. */
export function lengthText(info: FramesInfo, [from, to]: readonly [Position, Position]): string {
  const { value, unit } = distance(from, to, shapeOf(info));
  return `${value.toFixed(1)}\u00a0${unit}${isAtDetector(info) ? " at the detector" : ""}`;
}

/** SVG path in CSS pixels of the stage. */
export function draftPath({ draft, cursor, anchor, mode }: ViewerState, placed: Placed): string {
  const line = (positions: readonly Position[], end = ""): string =>
    positions.length === 0 ? "" : `M${positions.map((each) => toStage(each, placed).join(" ")).join("L")}${end}`;
  const { boxes, polygon, ruler, points } = { polygon: null, ...draft };
  return [
    ...(boxes ?? []).map((box) => line(cornersOf(box), "Z")),
    line(polygon === null || cursor === null ? (polygon ?? []) : [...polygon, cursor]),
    line(ruler ?? []),
    ...(points ?? []).map((point) => cross(toStage(point, placed))),
    cursor !== null && (anchor !== null || mode === "polygon") ? cross(toStage(cursor, placed)) : "",
  ].join("");
}

const cornersOf = ([x1, y1, x2, y2]: Box): Position[] => [
  [x1, y1],
  [x2, y1],
  [x2, y2],
  [x1, y2],
];

const cross = ([x, y]: Position): string => `M${x - CROSS} ${y}h${2 * CROSS}M${x} ${y - CROSS}v${2 * CROSS}`;
