import { useState } from "react";
import type { Share } from "../state/results";
import { LEAST_SHARE, percent } from "../state/words";

const SHOWN = 4;

/** Labels with their probabilities, as bars: the first few, as far as there is anything to see of them. */
export function Bars({ shares }: { shares: readonly Share[] }) {
  const [all, setAll] = useState(false);
  const first = shares.filter(({ probability }) => probability >= LEAST_SHARE).slice(0, SHOWN);
  const shown = all ? shares : first;
  return (
    <div className="bars">
      {shown.length === 0 && (
        <p className="source-note">
          The probability of {shares.length === 1 ? shares[0]?.label : `each of ${shares.length} labels`} is under{" "}
          {percent(LEAST_SHARE)}.
        </p>
      )}
      {shown.map(({ label, probability }) => (
        <div className="bar" key={label}>
          <span className="bar-label">{label}</span>
          <meter aria-label={label} min={0} max={1} value={probability} />
          <span className="bar-value">{percent(probability)}</span>
        </div>
      ))}
      {shares.length > first.length && (
        <button type="button" className="link-button" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${shares.length}`}
        </button>
      )}
    </div>
  );
}
