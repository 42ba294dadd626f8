import type { ToolOutput } from "../api/types";
import type { Call } from "../state/turns";
import { seconds } from "../state/words";
import { ArtifactLink } from "./ArtifactLink";

/** Where the result comes from, and the raw JSON behind the words. */
export function CallDetails({ call, output }: { call: Call; output: ToolOutput }) {
  const { provenance, artifacts } = output;
  return (
    <details className="call-details">
      <summary>Details</summary>
      <dl>
        <dt>Tool</dt>
        <dd>
          {provenance.tool} {provenance.version}
        </dd>
        <dt>Checkpoint</dt>
        <dd className="hash">{provenance.checkpoint_sha256 ?? "none"}</dd>
        <dt>Preprocessing</dt>
        <dd>{provenance.preprocessing}</dd>
        <dt>Computed in</dt>
        <dd>{seconds(provenance.seconds)}</dd>
        <dt>Input</dt>
        <dd className="hash">{provenance.input_sha256.join(", ") || "none"}</dd>
        <dt>Output</dt>
        <dd className="hash">{provenance.output_sha256}</dd>
      </dl>
      {artifacts.length > 0 && (
        <ul className="artifacts">
          {artifacts.map((artifact) => (
            <li key={artifact.sha256}>
              <ArtifactLink artifact={artifact} />
            </li>
          ))}
        </ul>
      )}
      <pre tabIndex={0} aria-label="Raw parameters and result">
        {JSON.stringify({ arguments: call.arguments, data: output.data }, null, 2)}
      </pre>
    </details>
  );
}
