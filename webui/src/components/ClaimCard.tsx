import type { Claim } from "../api/types";
import { toolTitle } from "../state/app";
import { claimKind, fieldWords } from "../state/claims";
import { percent } from "../state/words";
import { useAppState } from "../view/context";

export interface Place {
  left: number;
  top: number;
}

/** Where a claim comes from. It is shown while a person points at the claim, and read out with it. */
export function ClaimCard({ claim, place }: { claim: Claim; place: Place }) {
  const title = useAppState((state) => (claim.tool === null ? "" : toolTitle(state, claim.tool)));
  return (
    <div className="claim-card" role="status" style={place}>
      {claim.supported ? (
        <>
          <strong>{claim.tool === null ? claimKind(claim) : title}</strong>
          {claim.field !== null && <span>{fieldWords(claim.field)}</span>}
          <small>
            {[
              claim.version === null ? "" : `version ${claim.version}`,
              claim.score === null ? "" : `score ${percent(claim.score)}`,
              claim.checkpoint_sha256 === null ? "" : `checkpoint ${claim.checkpoint_sha256.slice(0, 8)}`,
            ]
              .filter((part) => part !== "")
              .join(" · ")}
          </small>
        </>
      ) : (
        <>
          <strong>{claimKind(claim)} without a source</strong>
          <span>No result of this turn says so. Check it before you use it.</span>
        </>
      )}
    </div>
  );
}
