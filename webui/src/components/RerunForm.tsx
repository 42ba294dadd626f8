import { useId, useState, type FormEvent } from "react";
import type { ToolCard } from "../api/types";
import { entriesOf, fieldsOf, readEntries, type Entries, type Field } from "../state/forms";
import type { Call } from "../state/turns";
import { useApp } from "../view/context";

interface RerunProps {
  call: Call;
  responseId: string;
  card: ToolCard;
  onEnd: () => void;
}

/** The parameters of a call, to be changed and run again. What depends on the call runs again too. */
export function RerunForm({ call, responseId, card, onEnd }: RerunProps) {
  const { actions } = useApp();
  const fields = fieldsOf(card.parameters);
  const [entries, setEntries] = useState<Entries>(() => entriesOf(fields, call.arguments));
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const read = readEntries(fields, entries);
    if ("errors" in read) return setErrors(read.errors);
    onEnd();
    void actions.rerun(responseId, call.id, read.parameters);
  };
  return (
    <form className="rerun" aria-label={`Parameters of ${card.title}`} onSubmit={submit}>
      {fields.map((field) => (
        <FieldRow
          key={field.name}
          field={field}
          entry={entries[field.name] ?? ""}
          error={errors[field.name]}
          onChange={(entry) => setEntries({ ...entries, [field.name]: entry })}
        />
      ))}
      <div className="rerun-foot">
        <button type="button" className="quiet-button" onClick={onEnd}>
          Cancel
        </button>
        <button type="submit" className="primary-button">
          Run again
        </button>
      </div>
    </form>
  );
}

interface RowProps {
  field: Field;
  entry: string;
  error: string | undefined;
  onChange: (entry: string) => void;
}

function FieldRow({ field, entry, error, onChange }: RowProps) {
  const id = useId();
  const shared = {
    id,
    value: entry,
    "aria-describedby": `${id}-help`,
    "aria-invalid": error !== undefined,
    onChange: (event: { target: { value: string } }) => onChange(event.target.value),
  };
  return (
    <div className="field">
      <label htmlFor={id}>
        {field.label}
        {field.required && " (needed)"}
      </label>
      <FieldInput field={field} shared={shared} />
      <small id={`${id}-help`}>
        {error !== undefined && <span className="field-error">{error} </span>}
        {field.kind === "list" ? `${field.help} One a line.` : field.help}
      </small>
    </div>
  );
}

interface Shared {
  id: string;
  value: string;
  onChange: (event: { target: { value: string } }) => void;
}

function FieldInput({ field, shared }: { field: Field; shared: Shared }) {
  switch (field.kind) {
    case "choice":
    case "switch":
      return (
        <select {...shared}>
          {!field.required && <option value="">not given</option>}
          {(field.kind === "switch" ? ["true", "false"] : field.choices).map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      );
    case "number":
    case "integer":
      return <input {...shared} inputMode={field.kind === "integer" ? "numeric" : "decimal"} />;
    case "list":
    case "json":
      return <textarea {...shared} rows={2} spellCheck={false} />;
    default:
      return <input {...shared} />;
  }
}
