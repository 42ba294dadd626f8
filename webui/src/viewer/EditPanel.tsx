import { boxText } from "../state/boxes";
import { useApp, useAppState } from "../view/context";
import { isRunning } from "../state/app";
import { callsOf, type Turn } from "../state/turns";
import { withBox } from "./edits";
import { useViewer, useViewing } from "./viewing";

/** A changed box, and the way to run its call again. */
export function EditPanel({ turn }: { turn: Turn }) {
  const { actions: page } = useApp();
  const { actions } = useViewing();
  const edit = useViewer((state) => state.edit);
  const running = useAppState(isRunning);
  if (edit === null) return null;
  const call = callsOf(turn).find((each) => each.id === edit.callId);
  const { responseId } = turn;
  if (call === undefined || responseId === null) return null;
  const run = (): void => {
    actions.endEdit();
    void page.rerun(responseId, call.id, withBox(call.arguments, edit.index, edit.box));
  };
  return (
    <section className="edit-panel" aria-label="Change a result">
      <p>
        {edit.polygon === null
          ? "Drag the box or its handles."
          : "Drag the corners; the box around them is what is used."}{" "}
        <output>Box {boxText(edit.box)}</output>
      </p>
      <button type="button" className="primary-button" disabled={running} onClick={run}>
        Run again
      </button>
      <button type="button" className="quiet-button" onClick={actions.endEdit}>
        Cancel
      </button>
    </section>
  );
}
