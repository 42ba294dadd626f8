import { useEffect, useRef, useState } from "react";
import type { Passage } from "../state/results";
import { percent } from "../state/words";
import { useApp, useLoaded } from "../view/context";
import { Icon } from "./Icon";

/** What was quoted, each with its source, which can be opened where the server keeps it or names an address. */
export function Passages({ passages }: { passages: readonly Passage[] }) {
  return passages.map((passage, index) => <QuotedPassage passage={passage} key={index} />);
}

function QuotedPassage({ passage }: { passage: Passage }) {
  const { before, highlight, after, place, source, address, document, score } = passage;
  const [open, setOpen] = useState(false);
  return (
    <figure className="passage">
      <blockquote>
        {before}
        <mark>{highlight}</mark>
        {after}
      </blockquote>
      <figcaption>
        <cite>
          {document === null ? (
            place
          ) : (
            <button
              type="button"
              className="link-button"
              aria-haspopup="dialog"
              title="Read it where it stands"
              onClick={() => setOpen(true)}
            >
              {place || source}
            </button>
          )}
        </cite>{" "}
        <span>
          {address === null ? (
            source
          ) : (
            <a href={address} target="_blank" rel="noopener noreferrer">
              {source}
            </a>
          )}
        </span>{" "}
        <span className="score">match {percent(score)}</span>
      </figcaption>
      {open && document !== null && (
        <SourceDialog passage={passage} document={document} onClose={() => setOpen(false)} />
      )}
    </figure>
  );
}

interface SourceDialogProps {
  passage: Passage;
  document: string;
  onClose: () => void;
}

/** The text that a passage stands in, with the passage marked. */
function SourceDialog({ passage, document, onClose }: SourceDialogProps) {
  const { images } = useApp();
  const text = useLoaded(document, images.text);
  const dialog = useRef<HTMLDialogElement>(null);
  const mark = useRef<HTMLElement>(null);
  const quoted = passage.before + passage.highlight + passage.after;
  const start = text?.indexOf(quoted) ?? -1;

  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  useEffect(() => {
    mark.current?.scrollIntoView({ block: "center" });
  }, [text]);

  return (
    <dialog ref={dialog} className="source-dialog" aria-label={passage.source} onClose={onClose}>
      <header>
        <h2>{passage.source}</h2>
        <button type="button" className="icon-button" aria-label="Close" onClick={() => dialog.current?.close()}>
          <Icon name="close" />
        </button>
      </header>
      <div className="source-text" tabIndex={0}>
        {text === undefined && "Loading the text…"}
        {text === null && "The text could not be loaded."}
        {typeof text === "string" && start < 0 && text}
        {typeof text === "string" && start >= 0 && (
          <>
            {text.slice(0, start)}
            <mark ref={mark}>{quoted}</mark>
            {text.slice(start + quoted.length)}
          </>
        )}
      </div>
    </dialog>
  );
}
