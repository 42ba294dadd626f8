import { toolTitle } from "../state/app";
import { opacityOf, type Overlay } from "../state/overlays";
import { area, percent, whole } from "../state/words";
import { useApp, useAppState } from "../view/context";
import { ToolIcon } from "./ToolIcon";

interface OverlayListProps {
  overlays: readonly Overlay[];
  lit: ReadonlySet<string>;
  /** The message that the overlays answer. */
  question: string;
  /** The slice of an overlay in a file of several, else null. */
  sliceOf: (overlay: Overlay) => number | null;
  onHover: (overlay: Overlay | null) => void;
  onGoTo: (slice: number) => void;
  /** What can be changed of an overlay, and how to begin with it. */
  editsOf: (overlay: Overlay) => { name: string; begin: () => void }[];
}

export function OverlayList({ overlays, lit, question, onHover, ...rest }: OverlayListProps) {
  const { actions } = useApp();
  const opacity = useAppState((state) => state.opacity);
  const masks = overlays.filter((overlay) => overlay.mask !== null);
  return (
    <section className="overlays" aria-label="Drawn over the image">
      <h3 title={question}>From: {question}</h3>
      {masks.length > 1 && (
        <label>
          All masks
          <Opacity of="all masks" value={opacity} onChange={(value) => actions.setOpacityOfMasks(masks, value)} />
        </label>
      )}
      <ul>
        {overlays.map((overlay) => (
          <li
            key={overlay.id}
            className={lit.has(overlay.id) ? "lit" : ""}
            onPointerEnter={() => onHover(overlay)}
            onPointerLeave={() => onHover(null)}
            onFocus={() => onHover(overlay)}
            onBlur={() => onHover(null)}
          >
            <OverlayRow overlay={overlay} {...rest} />
          </li>
        ))}
      </ul>
    </section>
  );
}

interface OpacityProps {
  of: string;
  value: number;
  onChange: (value: number) => void;
}

function Opacity({ of, value, onChange }: OpacityProps) {
  return (
    <input
      className="opacity"
      type="range"
      min={0}
      max={1}
      step={0.05}
      value={value}
      title={`Opacity of ${of}`}
      aria-label={`Opacity of ${of}`}
      aria-valuetext={percent(value)}
      onChange={(event) => onChange(Number(event.target.value))}
    />
  );
}

type OverlayRowProps = { overlay: Overlay } & Pick<OverlayListProps, "sliceOf" | "onGoTo" | "editsOf">;

function OverlayRow({ overlay, sliceOf, onGoTo, editsOf }: OverlayRowProps) {
  const { actions } = useApp();
  const shown = useAppState((state) => !state.hidden.has(overlay.id));
  const tool = useAppState((state) => (overlay.tool === null ? null : toolTitle(state, overlay.tool)));
  const opacity = useAppState((state) => opacityOf(state, overlay));
  const slice = sliceOf(overlay);
  return (
    <>
      <label>
        <input type="checkbox" checked={shown} onChange={() => actions.toggleOverlay(overlay.id)} />
        <span className="swatch" style={{ backgroundColor: overlay.color }} />
        {overlay.label}
      </label>
      {tool !== null && (
        <small>
          {tool} [{overlay.callNumber}]
        </small>
      )}
      {slice !== null && (
        <button type="button" className="link-button" onClick={() => onGoTo(slice)}>
          slice {slice + 1}
        </button>
      )}
      {overlay.areaPx !== null && <small className="area">{areaText(overlay)}</small>}
      {editsOf(overlay).map(({ name, begin }) => (
        <button
          key={name}
          type="button"
          className="link-button"
          aria-label={`${name}: ${overlay.label}`}
          onClick={begin}
        >
          <ToolIcon name="edit" /> {name}
        </button>
      ))}
      <Opacity of={overlay.label} value={opacity} onChange={(value) => actions.setOpacity(overlay, value)} />
    </>
  );
}

/** Square millimetres where the spacing is known, pixels otherwise. */
export const areaText = ({ areaPx, areaMm2 }: Overlay): string =>
  areaMm2 === null ? `${whole(areaPx ?? 0)}\u00a0px` : area(areaMm2);
