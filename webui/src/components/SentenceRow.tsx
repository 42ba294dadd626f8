import { useState } from "react";
import type { Sentence } from "../api/types";
import { toolTitle } from "../state/app";
import { fieldWords } from "../state/claims";
import type { Turn } from "../state/turns";
import { useApp, useAppState } from "../view/context";
import { Icon } from "./Icon";

const LONGEST = 2_000;

interface SentenceProps {
  sentence: Sentence;
  turn: Turn;
  locked: boolean;
  onChange: (sentence: Sentence) => void;
  onRemove: () => void;
}

/** A sentence of a report with a chip for each piece of evidence, which lights it up on the image. */
export function SentenceRow({ sentence, turn, locked, onChange, onRemove }: SentenceProps) {
  const [editing, setEditing] = useState(sentence.text === "");
  return (
    <li className={sentence.supported ? "sentence" : "sentence unsupported"}>
      {editing ? (
        <textarea
          aria-label="Sentence"
          autoFocus
          rows={2}
          maxLength={LONGEST}
          defaultValue={sentence.text}
          onBlur={(event) => {
            setEditing(false);
            const text = event.target.value.trim();
            if (text !== sentence.text) onChange({ ...sentence, text });
          }}
        />
      ) : (
        <p>
          {sentence.text}
          {!sentence.supported && <span className="no-source">No source</span>}
        </p>
      )}
      <div className="sentence-foot">
        <EvidenceChips sentence={sentence} turn={turn} />
        {!locked && (
          <span className="sentence-tools">
            <button type="button" className="icon-button" aria-label="Edit the sentence" onClick={() => setEditing(true)}>
              <Icon name="pencil" />
            </button>
            <button type="button" className="icon-button" aria-label="Remove the sentence" onClick={onRemove}>
              <Icon name="trash" />
            </button>
          </span>
        )}
      </div>
    </li>
  );
}

function EvidenceChips({ sentence, turn }: { sentence: Sentence; turn: Turn }) {
  const { actions, store } = useApp();
  const highlighted = useAppState((state) => state.highlighted);
  return sentence.claims.map(({ call_id: callId, field, tool, text }, index) =>
    callId === null ? null : (
      <button
        key={index}
        type="button"
        className="evidence-chip"
        aria-pressed={highlighted?.callId === callId && highlighted.field === field}
        title={field === null ? undefined : fieldWords(field)}
        onClick={() => void actions.showEvidence(turn, callId, field)}
      >
        {text} <small>{tool === null ? "" : toolTitle(store.get(), tool)}</small>
      </button>
    ),
  );
}
