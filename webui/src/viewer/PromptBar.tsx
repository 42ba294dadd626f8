import { Icon } from "../components/Icon";
import { boxText } from "../state/boxes";
import { marksOf } from "../state/viewing";
import { useApp, useAppState } from "../view/context";
import { useViewer, useViewing } from "./viewing";

const HINTS = {
  pan: "Drag moves the image, Ctrl and the wheel zoom.",
  window: "Drag sideways for the width of the window, up and down for its centre.",
  box: "Drag on the image, once for each box. Arrow keys move a box, with Shift they resize it, Delete removes it.",
  point: "Click on what you mean; drag a point to move it. Points go with one box at most.",
  polygon: "Click the corners, the first one again to close. It is sent as its box and a point inside.",
  ruler: "Drag from one place to another.",
} as const;

/** What goes with the next message, or how to draw it. */
export function PromptBar() {
  const { actions } = useApp();
  const { actions: viewer, fileId, shapes } = useViewing();
  const boxes = useAppState((state) => state.boxes);
  const marks = useAppState(marksOf);
  const mode = useViewer((state) => state.mode);
  const editing = useViewer((state) => state.edit !== null);
  const several = useViewer((state) => state.info.count > 1);
  const source = useViewer(({ info }) => (info.spacing_mm === null ? null : info.spacing_source));
  const points = marks?.points.length ?? 0;
  if (editing) return null;
  const unit = source === null ? "The spacing is not known: pixels." : `Millimetres from ${source}.`;
  const hint = mode === "ruler" ? `${HINTS.ruler} ${unit}` : HINTS[mode];
  const place = (): void => {
    viewer.setMode("box");
    shapes.set({ boxes: [[0.25, 0.25, 0.75, 0.75]] });
  };
  if (boxes.length === 0 && points === 0) {
    return (
      <div className="viewer-foot">
        <button type="button" className="quiet-button" onClick={place}>
          <Icon name="box" /> Place a box
        </button>
        <p>{hint}</p>
      </div>
    );
  }
  const parts = [
    ...(boxes.length > 1 ? [`${boxes.length} boxes`] : boxes.map((box) => `box ${boxText(box)}`)),
    ...(points === 0 ? [] : [points === 1 ? "1 point" : `${points} points`]),
  ];
  const slice = marks !== null && several ? ` on slice ${marks.slice + 1}` : "";
  return (
    <div className="viewer-foot">
      <p>
        With your message: {parts.join(" and ")}
        {slice}. {hint}
      </p>
      <button
        type="button"
        className="quiet-button"
        onClick={() => actions.draw(fileId, marks?.slice ?? 0, { boxes: [], points: [], polygon: null })}
      >
        Clear
      </button>
    </div>
  );
}
