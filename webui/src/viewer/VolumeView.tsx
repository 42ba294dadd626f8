import { useEffect, useRef, useState } from "react";
import { opacityOf, overlaysOn, turnToDraw } from "../state/overlays";
import { turnsOf, type AppState } from "../state/app";
import { useApp } from "../view/context";
import type { Studies } from "./api";
import type { OpenedVolume, VolumeMask } from "./niivue";
import { useViewing } from "./viewing";

/** The file in three planes and 3D, with the masks of the turn that is drawn. */
export function VolumeView({ label }: { label: string }) {
  const { studies, store: app } = useApp();
  const { fileId, store } = useViewing();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [state, setState] = useState<"loading" | "ready" | "failed">("loading");

  useEffect(() => {
    const stop = new AbortController();
    let opened: OpenedVolume | null = null;
    const open = async (target: HTMLCanvasElement): Promise<void> => {
      const [{ openVolume }, volume, masks] = await Promise.all([
        import("./niivue"),
        studies.volume(fileId, stop.signal),
        fetchMasks(studies, fileId, app.get(), stop.signal),
      ]);
      if (stop.signal.aborted) return;
      opened = await openVolume(target, volume, store.get().window, masks);
      if (stop.signal.aborted) opened.close();
      else setState("ready");
    };
    if (canvas.current !== null) open(canvas.current).catch(() => stop.signal.aborted || setState("failed"));
    return () => {
      stop.abort();
      opened?.close();
    };
  }, [studies, app, fileId, store]);

  return (
    <div className="volume">
      <canvas ref={canvas} role="img" aria-label={`${label} in three planes and 3D`} tabIndex={0} />
      {state === "loading" && <p className="no-image">Loading the volume…</p>}
      {state === "failed" && (
        <p className="no-image">The volume cannot be shown. It needs a browser with WebGL 2; slices work without.</p>
      )}
    </div>
  );
}

/** Masks that cannot be had are left out: the volume is worth showing without them. */
async function fetchMasks(
  studies: Studies,
  fileId: string,
  page: AppState,
  signal: AbortSignal,
): Promise<VolumeMask[]> {
  const turn = turnToDraw(turnsOf(page), fileId, page.highlighted?.callId);
  const overlays = turn === null ? [] : overlaysOn(turn, fileId);
  const shown = overlays.filter(({ id, mask }) => mask !== null && !page.hidden.has(id));
  const found = await Promise.allSettled(
    shown.map(async (overlay) => ({
      bytes: await studies.maskVolume(
        fileId,
        overlay.mask ?? "",
        overlay.slice ?? page.files[fileId]?.frame.slice ?? 0,
        signal,
      ),
      color: overlay.color,
      opacity: opacityOf(page, overlay),
    })),
  );
  return found.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}
