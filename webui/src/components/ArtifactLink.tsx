import type { Artifact } from "../api/types";
import { useApp } from "../view/context";

/** Saves an artifact. A plain link could not carry the key. */
export function ArtifactLink({ artifact }: { artifact: Artifact }) {
  const { images } = useApp();
  const name = artifact.label || artifact.kind;
  const save = async (): Promise<void> => {
    const link = document.createElement("a");
    link.href = await images.url(artifact.sha256);
    link.download = `${artifact.kind}-${artifact.sha256.slice(0, 8)}${artifact.media_type === "image/png" ? ".png" : ""}`;
    link.click();
  };
  return (
    <button type="button" className="link-button" onClick={() => void save()}>
      Save {artifact.kind === name ? name : `${artifact.kind}: ${name}`}
    </button>
  );
}
