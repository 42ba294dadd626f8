import { useApp, useAppState, useLoaded } from "../view/context";
import { Icon } from "./Icon";

/** A small picture of an uploaded file. */
export function Thumbnail({ fileId }: { fileId: string }) {
  const { images } = useApp();
  const file = useAppState((state) => state.files[fileId]);
  const url = useLoaded(file?.frame.sha256 ?? null, images.url);
  if (typeof url === "string") return <img className="thumbnail" src={url} alt={file?.filename ?? "Attached image"} />;
  return (
    <span className="thumbnail empty" role="img" aria-label={url === null ? "Image not available" : "Image is loading"}>
      <Icon name="image" />
    </span>
  );
}
