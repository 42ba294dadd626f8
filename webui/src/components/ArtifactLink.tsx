import type { Artifact } from "../api/types";
import { useApp } from "../view/context";

/** Saves an artifact. */
export function ArtifactLink({ artifact }: { artifact: Artifact }) {
  const { actions } = useApp();
  const name = artifact.label || artifact.kind;
  return (
    <button type="button" className="link-button" onClick={() => void actions.saveArtifact(artifact)}>
      Save {artifact.kind === name ? name : `${artifact.kind}: ${name}`}
    </button>
  );
}
