import type { Overlay } from "../state/overlays";
import { percent } from "../state/words";
import { useApp, useAppState } from "../view/context";

/** `question` is the message that the overlays answer. */
export function OverlayList({ overlays, question }: { overlays: readonly Overlay[]; question: string }) {
  const { actions } = useApp();
  const hidden = useAppState((state) => state.hidden);
  const opacity = useAppState((state) => state.opacity);
  const masks = overlays.some((overlay) => overlay.mask !== null);
  return (
    <section className="overlays" aria-label="Drawn over the image">
      <h3 title={question}>From: {question}</h3>
      <ul>
        {overlays.map((overlay) => (
          <li key={overlay.id}>
            <label>
              <input
                type="checkbox"
                checked={!hidden.has(overlay.id)}
                onChange={() => actions.toggleOverlay(overlay.id)}
              />
              <span className="swatch" style={{ backgroundColor: overlay.color }} />
              {overlay.label}
            </label>
          </li>
        ))}
      </ul>
      {masks && (
        <label className="opacity">
          Opacity
          <input
            type="range"
            min={0}
            max={1}
            step={0.05}
            value={opacity}
            aria-valuetext={percent(opacity)}
            onChange={(event) => actions.setOpacity(Number(event.target.value))}
          />
        </label>
      )}
    </section>
  );
}
