import { useApp, useAppState } from "../view/context";
import { Icon } from "./Icon";

export function Notice() {
  const { actions } = useApp();
  const notice = useAppState((state) => state.notice);
  const offline = useAppState((state) => state.connection === "offline");
  if (notice === null) return null;
  return (
    <div className="notice" role="alert">
      <div>
        {notice.message}
        {notice.correlationId !== null && <span className="reference">Reference: {notice.correlationId}</span>}
      </div>
      {offline && (
        <button type="button" className="quiet-button" onClick={() => void actions.connect()}>
          Try again
        </button>
      )}
      <button type="button" className="icon-button" aria-label="Dismiss" onClick={actions.dismiss}>
        <Icon name="close" />
      </button>
    </div>
  );
}
