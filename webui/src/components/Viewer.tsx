import { useAppState } from "../view/context";
import { Study } from "../viewer/Study";
import { Icon } from "./Icon";

/** The current image with what the latest turn that found something has found on it. */
export function Viewer() {
  const file = useAppState((state) => (state.fileId === null ? undefined : state.files[state.fileId]));
  return (
    <aside className={file === undefined ? "viewer empty" : "viewer"} aria-label="Image">
      {file === undefined ? <NoImage /> : <Study key={file.id} file={file} />}
    </aside>
  );
}

function NoImage() {
  return (
    <div className="no-image">
      <Icon name="image" />
      <p>Attach, drop or paste an image to see it here.</p>
      <p>PNG, JPEG, DICOM or NIfTI</p>
    </div>
  );
}
