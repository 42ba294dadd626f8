import { percent } from "../state/words";
import { areaChange, type Pair } from "./compare";
import { areaText } from "./OverlayList";

interface ComparisonProps {
  pairs: readonly Pair[];
  /** 0 shows what was before, 1 what is there now. */
  mix: number;
  onMix: (mix: number) => void;
}

/** What a rerun has changed: areas side by side, and a slider that fades from one to the other on the image. */
export function Comparison({ pairs, mix, onMix }: ComparisonProps) {
  return (
    <section className="comparison" aria-label="Before and after">
      <table>
        <thead>
          <tr>
            <th scope="col">Result</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
            <th scope="col">Area</th>
          </tr>
        </thead>
        <tbody>
          {pairs.map((pair) => (
            <tr key={pair.id}>
              <th scope="row">{(pair.after ?? pair.before)?.label}</th>
              <td>{sizeText(pair.before)}</td>
              <td>{sizeText(pair.after)}</td>
              <td>{changeText(pair)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <label className="mix">
        Before
        <input
          type="range"
          min={0}
          max={1}
          step={0.05}
          value={mix}
          aria-label="From before to after"
          aria-valuetext={`${percent(mix)} after`}
          onChange={(event) => onMix(Number(event.target.value))}
        />
        After
      </label>
    </section>
  );
}

function sizeText(overlay: Pair["before"]): string {
  if (overlay === null) return "none";
  return overlay.areaPx === null ? "box" : areaText(overlay);
}

function changeText(pair: Pair): string {
  const change = areaChange(pair);
  return change === null ? "" : `${change < 0 ? "\u2212" : "+"}${Math.abs(change).toFixed(1)}\u00a0%`;
}
