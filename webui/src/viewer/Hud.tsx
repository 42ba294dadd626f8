import { useLayoutEffect, useRef } from "react";
import type { FramesInfo } from "./api";
import { pixelAt, scaleBar } from "./geometry";
import { onRefresh } from "./painting";
import { valuesAt } from "./pixels";
import { isAtDetector, placedOf, type ViewerState } from "./state";
import { useViewer, useViewing } from "./viewing";

const LONGEST_BAR = 140;

/** Numbers and letters at the edges of the stage. */
export function Hud() {
  const info = useViewer((state) => state.info);
  const { orientation } = info;
  return (
    <div className="hud">
      {orientation !== null &&
        (["left", "right", "top", "bottom"] as const).map((edge) => (
          <span
            key={edge}
            className={`edge ${edge}`}
            aria-label={`Patient ${orientation[edge]} at the ${edge}`}
            role="img"
          >
            {orientation[edge]}
          </span>
        ))}
      <Readout />
      <ScaleBar info={info} />
    </div>
  );
}

/** What is under the cursor, and how the frame is shown; written without React, as it follows the pointer. */
function Readout() {
  const { store } = useViewing();
  const pixel = useRef<HTMLParagraphElement>(null);
  const shown = useRef<HTMLParagraphElement>(null);
  useLayoutEffect(
    () =>
      onRefresh(store, (state) => {
        if (pixel.current !== null) pixel.current.textContent = describePixel(state);
        if (shown.current !== null) shown.current.textContent = describeView(state);
      }),
    [store],
  );
  return (
    <>
      <p ref={pixel} className="readout pixel" />
      <p ref={shown} className="readout shown" />
    </>
  );
}

const number = (value: number): string =>
  (Number.isInteger(value) ? String(value) : value.toPrecision(4)).replace("-", "\u2212");

/** For example `x 64 · y 80 · −34 HU`. */
export function describePixel({ cursor, frame, shape, info }: ViewerState): string {
  const pixel = cursor === null ? null : pixelAt(cursor, shape);
  if (pixel === null || frame === null) return "";
  const values = valuesAt(frame, ...pixel, info)
    .map(number)
    .join(", ");
  return `x ${pixel[0]} · y ${pixel[1]} · ${values}${info.unit === null ? "" : ` ${info.unit}`}`;
}

function describeView({ window, view, index, info }: ViewerState): string {
  const slice = info.count > 1 ? `${index + 1}/${info.count} · ` : "";
  const [center, width] = [window.center, window.width].map((value) => number(Math.round(value * 10) / 10));
  return `${slice}C ${center} W ${width} · ${Math.round(view.zoom * 100)}\u00a0%`;
}

function ScaleBar({ info }: { info: FramesInfo }) {
  const { store } = useViewing();
  const bar = useRef<HTMLParagraphElement>(null);
  const label = useRef<HTMLSpanElement>(null);
  useLayoutEffect(
    () =>
      onRefresh(store, (state) => {
        if (bar.current === null || label.current === null || state.stage.width === 0) return;
        const { value, unit, pixels } = scaleBar(state.shape, placedOf(state), LONGEST_BAR);
        bar.current.style.width = `${pixels}px`;
        label.current.textContent = `${value}\u00a0${unit}`;
      }),
    [store],
  );
  return (
    <p ref={bar} className="scale-bar">
      <span ref={label} />
      {isAtDetector(info) && <small> at the detector</small>}
    </p>
  );
}
