import { useState } from "react";
import type { FileObject } from "../api/types";
import { describeFrame } from "../state/words";
import { useApp, useLoaded } from "../view/context";
import type { FramesInfo } from "./api";
import { Slices } from "./Slices";
import { createViewing, ViewingContext } from "./viewing";
import { VolumeView } from "./VolumeView";

/** One file: its slices, or the whole volume. */
export function Study({ file }: { file: FileObject }) {
  const { studies } = useApp();
  const info = useLoaded(file.id, studies.frames);
  const [solid, setSolid] = useState(false);
  return (
    <>
      <header className="viewer-head">
        <h2 title={file.filename}>{file.filename}</h2>
        <p>{describeFrame(file.frame)}</p>
        {file.volume?.regular === true && (
          <button type="button" className="quiet-button solid" aria-pressed={solid} onClick={() => setSolid(!solid)}>
            3D
          </button>
        )}
      </header>
      {info == null ? (
        <p className="no-image">{info === null ? "The image could not be loaded." : "Loading the image…"}</p>
      ) : (
        <OpenStudy file={file} info={info} solid={solid} />
      )}
    </>
  );
}

function OpenStudy({ file, info, solid }: { file: FileObject; info: FramesInfo; solid: boolean }) {
  const { store, actions } = useApp();
  const [viewing] = useState(() => {
    const { shown } = store.get();
    const index = shown?.fileId === file.id ? shown.slice : file.frame.slice;
    return createViewing({ fileId: file.id, info, index, app: store, page: actions });
  });
  return (
    <ViewingContext value={viewing}>
      {solid ? <VolumeView label={file.filename} /> : <Slices file={file} />}
    </ViewingContext>
  );
}
