import { useLayoutEffect, useRef, useState } from "react";
import type { FileObject } from "../api/types";
import { turnsOf } from "../state/app";
import { displaySize, fit, overlaysOf, turnToDraw, type Size } from "../state/overlays";
import { describeFrame } from "../state/words";
import { useApp, useAppState, useLoaded } from "../view/context";
import { BoxLayer } from "./BoxLayer";
import { Icon } from "./Icon";
import { MaskLayer } from "./MaskLayer";
import { OverlayList } from "./OverlayList";

/** The current image with the masks and boxes of the latest turn that found something on it. */
export function Viewer() {
  const file = useAppState((state) => (state.fileId === null ? undefined : state.files[state.fileId]));
  return (
    <aside className={file === undefined ? "viewer empty" : "viewer"} aria-label="Image">
      {file === undefined ? <NoImage /> : <Picture key={file.id} file={file} />}
    </aside>
  );
}

function NoImage() {
  return (
    <div className="no-image">
      <Icon name="image" />
      <p>Attach, drop or paste an image to see it here.</p>
      <p>PNG, JPEG or DICOM</p>
    </div>
  );
}

function Picture({ file }: { file: FileObject }) {
  const { actions, images } = useApp();
  const url = useLoaded(file.frame.sha256, images.url);
  const turns = useAppState(turnsOf);
  const hidden = useAppState((state) => state.hidden);
  const [stage, measure] = useSize();
  const turn = turnToDraw(turns, file.id);
  const overlays = turn === null ? [] : overlaysOf(turn);
  const visible = overlays.filter((overlay) => !hidden.has(overlay.id));
  const size = fit(displaySize(file.frame), stage);
  return (
    <>
      <header className="viewer-head">
        <h2 title={file.filename}>{file.filename}</h2>
        <p>{describeFrame(file.frame)}</p>
      </header>
      <div className="stage" ref={measure}>
        <div className="frame" style={size}>
          {typeof url === "string" && (
            <img src={url} alt={`${file.filename}, ${describeFrame(file.frame)}`} draggable={false} />
          )}
          {url === null && <p className="no-image">The image could not be loaded.</p>}
          {visible.map(
            (overlay) =>
              overlay.mask !== null && <MaskLayer key={overlay.id} sha256={overlay.mask} color={overlay.color} />,
          )}
          <BoxLayer overlays={visible} />
        </div>
      </div>
      {turn !== null && <OverlayList overlays={overlays} question={turn.text} />}
      <div className="viewer-foot">
        <button type="button" className="quiet-button" onClick={() => actions.setBox([0.25, 0.25, 0.75, 0.75])}>
          <Icon name="box" /> Place a box
        </button>
        <p>Or drag on the image. Arrow keys move the box, with Shift they resize it, Delete removes it.</p>
      </div>
    </>
  );
}

/** The size of an element in CSS pixels, as it changes. */
function useSize(): [Size, React.RefObject<HTMLDivElement | null>] {
  const element = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useLayoutEffect(() => {
    if (element.current === null) return undefined;
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) setSize({ width: entry.contentRect.width, height: entry.contentRect.height });
    });
    observer.observe(element.current);
    return () => observer.disconnect();
  }, []);
  return [size, element];
}
