import { useState } from "react";
import type { Share } from "../state/results";
import { percent } from "../state/words";

const SHOWN = 4;

/** Labels with their probabilities, as bars. */
export function Bars({ shares }: { shares: readonly Share[] }) {
  const [all, setAll] = useState(false);
  const shown = all ? shares : shares.slice(0, SHOWN);
  return (
    <div className="bars">
      {shown.map(({ label, probability }) => (
        <div className="bar" key={label}>
          <span className="bar-label">{label}</span>
          <meter aria-label={label} min={0} max={1} value={probability} />
          <span className="bar-value">{percent(probability)}</span>
        </div>
      ))}
      {shares.length > SHOWN && (
        <button type="button" className="link-button" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${shares.length}`}
        </button>
      )}
    </div>
  );
}
