import { useEffect, useRef, useState, type FormEvent } from "react";
import { useApp, useAppState } from "../view/context";

/** Asks for an API key when the server wants one. The key stays in this tab. */
export function KeyDialog() {
  const { actions } = useApp();
  const wanted = useAppState((state) => state.connection === "needs-key");
  const dialog = useRef<HTMLDialogElement>(null);
  const [key, setKey] = useState("");
  const [tried, setTried] = useState(false);

  useEffect(() => {
    if (wanted) dialog.current?.showModal();
    else dialog.current?.close();
  }, [wanted]);

  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setTried(true);
    void actions.useKey(key.trim());
  };

  return (
    <dialog
      ref={dialog}
      className="key-dialog"
      aria-labelledby="key-title"
      onCancel={(event) => event.preventDefault()}
    >
      <form onSubmit={submit}>
        <h2 id="key-title">This server asks for an API key</h2>
        <p>The key is kept for this browser tab only.</p>
        <label htmlFor="key">API key</label>
        <input
          id="key"
          type="password"
          autoComplete="off"
          required
          value={key}
          onChange={(event) => setKey(event.target.value)}
        />
        {tried && wanted && (
          <p className="field-error" role="alert">
            The server did not accept this key.
          </p>
        )}
        <button type="submit" className="primary-button">
          Continue
        </button>
      </form>
    </dialog>
  );
}
