import { useEffect, useState } from "react";
import type { FileObject } from "../api/types";
import type { Overlay } from "../state/overlays";
import { describeFrame } from "../state/words";
import { useApp, useAppState } from "../view/context";
import { Comparison } from "./Comparison";
import { EditPanel } from "./EditPanel";
import { OverlayList } from "./OverlayList";
import { PromptBar } from "./PromptBar";
import { SliceBar } from "./SliceBar";
import { Stage } from "./Stage";
import { Toolbar } from "./Toolbar";
import { useEdits } from "./useEdits";
import { useOverlays, type Drawn } from "./useOverlays";
import { useViewer, useViewing } from "./viewing";

/** The slices of a file one by one, with what was found on them. */
export function Slices({ file }: { file: FileObject }) {
  const { actions } = useViewing();
  const index = useViewer((state) => state.index);
  const count = useViewer((state) => state.info.count);
  const hidden = useAppState((state) => state.hidden);
  const [hovered, setHovered] = useState<Overlay | null>(null);
  const [mix, setMix] = useState(0.5);
  const drawn = useOverlays(file.id);
  const { turn, overlays, pairs, before } = drawn;
  const sliceOf = (overlay: Overlay): number => overlay.slice ?? file.frame.slice;
  const editsOf = useEdits(turn, sliceOf);
  useHighlight(drawn, sliceOf);

  const visible = [...before, ...overlays].filter((each) => !hidden.has(each.id) && sliceOf(each) === index);
  const lit = new Set([...drawn.lit, ...(hovered === null ? [] : [hovered])].map(({ id }) => id));
  const changed = new Set(pairs.map(({ after }) => after?.id));
  const strength = (overlay: Overlay): number => {
    if (before.includes(overlay)) return 1 - mix;
    return changed.has(overlay.id) ? mix : 1;
  };
  return (
    <>
      <Toolbar />
      <Stage
        label={`${file.filename}, ${describeFrame(file.frame)}`}
        overlays={visible}
        lit={lit}
        strength={strength}
      />
      {count > 1 && <SliceBar />}
      {turn !== null && <EditPanel turn={turn} />}
      {pairs.length > 0 && <Comparison pairs={pairs} mix={mix} onMix={setMix} />}
      {turn !== null && (
        <OverlayList
          overlays={overlays}
          lit={lit}
          question={turn.text}
          sliceOf={(overlay) => (count > 1 ? sliceOf(overlay) : null)}
          onHover={setHovered}
          onGoTo={actions.goTo}
          editsOf={editsOf}
        />
      )}
      <PromptBar />
    </>
  );
}

/** Goes to what the person asked to see, once each time it is asked for. */
function useHighlight({ lit }: Drawn, sliceOf: (overlay: Overlay) => number): void {
  const { store, actions: page } = useApp();
  const { actions } = useViewing();
  const highlighted = useAppState((state) => state.highlighted);
  useEffect(() => {
    const [first] = lit;
    if (first === undefined) return;
    actions.goTo(sliceOf(first));
    for (const { id } of lit) if (store.get().hidden.has(id)) page.toggleOverlay(id);
    // Only a new asking moves the viewer, not every new render.
  }, [highlighted]);
}
