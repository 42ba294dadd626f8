import { turnsOf, type Attachment } from "../state/app";
import { boxText } from "../state/boxes";
import { describeFrame, percent } from "../state/words";
import { useApp, useAppState } from "../view/context";
import { Icon } from "./Icon";
import { Thumbnail } from "./Thumbnail";

/** The studies at hand, of which one goes with the next message, and the boxes drawn on it. */
export function Attachments() {
  const { actions } = useApp();
  const attachments = useAppState((state) => state.attachments);
  const boxes = useAppState((state) => state.boxes);
  const [first] = boxes;
  if (attachments.length === 0 && first === undefined) return null;
  return (
    <div className="attached" role="group" aria-label="Attached">
      {attachments.map((attachment) => (
        <Chip key={attachment.id} attachment={attachment} />
      ))}
      {first !== undefined && (
        <span className="chip">
          <Icon name="box" /> {boxes.length === 1 ? `Box ${boxText(first)}` : `${boxes.length} boxes`}
          <button
            type="button"
            className="icon-button"
            aria-label={boxes.length === 1 ? "Remove the box" : "Remove the boxes"}
            onClick={() => actions.setBoxes([])}
          >
            <Icon name="close" />
          </button>
        </span>
      )}
    </div>
  );
}

function Chip({ attachment }: { attachment: Attachment }) {
  const { actions } = useApp();
  const { name, state, share, fileId, error } = attachment;
  const asked = useAppState((now) => fileId !== null && now.fileId === fileId);
  const used = useAppState((now) => fileId !== null && turnsOf(now).some((turn) => turn.fileId === fileId));
  return (
    <span className={asked ? "chip attachment asked" : "chip attachment"}>
      {fileId === null ? (
        <span className="chip-words">
          <strong title={name}>{name}</strong>
          {state === "sending" ? (
            <span className="upload">
              <progress aria-label={`Uploading ${name}`} max={1} value={share} />
              <small>{share < 1 ? percent(share) : "Reading…"}</small>
            </span>
          ) : (
            <small className="field-error">{error}</small>
          )}
        </span>
      ) : (
        <Ready fileId={fileId} name={name} asked={asked} />
      )}
      {!used && (
        <button
          type="button"
          className="icon-button"
          aria-label={state === "sending" ? `Cancel the upload of ${name}` : `Remove ${name}`}
          onClick={() => actions.detach(attachment)}
        >
          <Icon name="close" />
        </button>
      )}
    </span>
  );
}

/** Pressing it asks about this study. */
function Ready({ fileId, name, asked }: { fileId: string; name: string; asked: boolean }) {
  const { actions } = useApp();
  const frame = useAppState((state) => state.files[fileId]?.frame);
  return (
    <button type="button" className="attachment-choose" aria-pressed={asked} onClick={() => actions.choose(fileId)}>
      <Thumbnail fileId={fileId} />
      <span className="chip-words">
        <strong title={name}>{name}</strong>
        {frame !== undefined && (
          <small>
            {frame.modality !== null && <span className="modality">{frame.modality}</span>}
            {describeFrame({ ...frame, modality: null })}
          </small>
        )}
      </span>
    </button>
  );
}
