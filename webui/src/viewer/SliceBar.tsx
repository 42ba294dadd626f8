import { useViewer, useViewing } from "./viewing";

/** Which slice or frame of the file is shown. */
export function SliceBar() {
  const { actions } = useViewing();
  const index = useViewer((state) => state.index);
  const count = useViewer((state) => state.info.count);
  return (
    <label className="slice-bar">
      <span>
        Slice {index + 1} of {count}
      </span>
      <input
        type="range"
        min={0}
        max={count - 1}
        value={index}
        aria-label="Slice"
        aria-valuetext={`${index + 1} of ${count}`}
        onChange={(event) => actions.goTo(Number(event.target.value))}
      />
    </label>
  );
}
