import type { Window } from "./api";
import { MODES, type Mode } from "./state";
import { ToolIcon, type ToolIconName } from "./ToolIcon";
import { useViewer, useViewing } from "./viewing";
import { windowOf } from "./pixels";
import { zoomAt } from "./geometry";

const NAMES: Record<Mode, string> = {
  pan: "Move the image",
  window: "Brightness and contrast",
  box: "Draw a box",
  point: "Place points",
  polygon: "Draw a polygon",
  ruler: "Measure a distance",
};

export function Toolbar() {
  const { actions, store } = useViewing();
  const mode = useViewer((state) => state.mode);
  const invert = useViewer((state) => state.invert);
  const zoom = (factor: number): void => store.set(({ view }) => ({ view: zoomAt(view, factor, view.center) }));
  return (
    <div className="viewer-tools" role="toolbar" aria-label="Viewer tools">
      {MODES.map((each) => (
        <ToolButton
          key={each}
          icon={each}
          name={NAMES[each]}
          pressed={mode === each}
          onClick={() => actions.setMode(each)}
        />
      ))}
      <span className="tool-gap" />
      <Presets />
      <ToolButton icon="invert" name="Invert" pressed={invert} onClick={actions.toggleInvert} />
      <ToolButton icon="out" name="Zoom out" onClick={() => zoom(1 / 1.25)} />
      <ToolButton icon="in" name="Zoom in" onClick={() => zoom(1.25)} />
      <ToolButton icon="reset" name="Reset window and zoom" onClick={actions.reset} />
    </div>
  );
}

interface ToolButtonProps {
  icon: ToolIconName;
  name: string;
  pressed?: boolean;
  onClick: () => void;
}

function ToolButton({ icon, name, pressed, onClick }: ToolButtonProps) {
  return (
    <button
      type="button"
      className="icon-button"
      title={name}
      aria-label={name}
      aria-pressed={pressed}
      onClick={onClick}
    >
      <ToolIcon name={icon} />
    </button>
  );
}

const OWN = "own";
const STORED = "stored";

const isSame = (a: Window, b: Window): boolean => a.center === b.center && a.width === b.width;

/** The window as the file states it, and those that are usual for its kind. */
function Presets() {
  const { actions } = useViewing();
  const info = useViewer((state) => state.info);
  const stored = windowOf(info);
  const chosen = useViewer(({ window }) => {
    if (isSame(window, stored)) return STORED;
    const index = info.presets.findIndex((each) => isSame(each, window));
    return index < 0 ? OWN : String(index);
  });
  const choose = (value: string): void => {
    const preset = value === STORED ? stored : info.presets[Number(value)];
    if (preset !== undefined) actions.setWindow({ center: preset.center, width: preset.width });
  };
  return (
    <select
      className="presets"
      aria-label={`Window, from ${info.window.source}`}
      value={chosen}
      onChange={(event) => choose(event.target.value)}
    >
      <option value={STORED}>As opened</option>
      {info.presets.map(
        (preset, index) =>
          !isSame(preset, stored) && (
            <option key={preset.name} value={index}>
              {preset.name}
            </option>
          ),
      )}
      <option value={OWN} disabled>
        Own window
      </option>
    </select>
  );
}
