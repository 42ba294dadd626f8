import { useState } from "react";
import type { Sentence } from "../api/types";
import { toolTitle } from "../state/app";
import { fieldWords } from "../state/claims";
import { callsOf, type Turn } from "../state/turns";
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
            <button
              type="button"
              className="icon-button"
              aria-label="Edit the sentence"
              onClick={() => setEditing(true)}
            >
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

/** A citation in the words themselves needs no chip of its own. */
function EvidenceChips({ sentence, turn }: { sentence: Sentence; turn: Turn }) {
  const { actions, store } = useApp();
  const highlighted = useAppState((state) => state.highlighted);
  const calls = callsOf(turn);
  return sentence.claims.map(({ call_id: callId, field, kind, text }, index) => {
    const call = calls.find((each) => each.id === callId);
    if (call === undefined || kind === "citation") return null;
    const source = `${toolTitle(store.get(), call.tool)}${field === null ? "" : `: ${fieldWords(field)}`}`;
    return (
      <button
        key={index}
        type="button"
        className="evidence-chip"
        aria-pressed={highlighted?.callId === call.id && highlighted.field === field}
        aria-label={`${text}, from ${source}`}
        title={source}
        onClick={() => void actions.showEvidence(turn, call.id, field)}
      >
        {text} <small>{call.number}</small>
      </button>
    );
  });
}
