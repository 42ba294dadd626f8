import type { Consultation, Opinion } from "../state/results";

/** A consultation as it went: triage, each specialist, the attending physician, and whom that overruled. */
export function PanelResult({ consultation }: { consultation: Consultation }) {
  const { specialty, reason, opinions, absent, agreement, answer, rationale, overruled, votes, note } = consultation;
  return (
    <div className="panel">
      <h4>Triage</h4>
      <p>
        Sent to: <strong>{specialty}</strong>
      </p>
      {reason !== "" && <p className="source-note">{reason}</p>}
      <h4>Specialists</h4>
      <ul className="opinions">
        {opinions.map((opinion) => (
          <OpinionRow key={opinion.specialist} opinion={opinion} overruled={overruled.includes(opinion.specialist)} />
        ))}
        {absent.map((one) => (
          <li key={one.doctor} className="absent">
            <strong>{one.doctor}</strong> gave no answer: {one.reason}
          </li>
        ))}
      </ul>
      {agreement !== "" && <p className="source-note">{agreement}</p>}
      <h4>Attending physician</h4>
      {answer !== "" && (
        <p>
          <strong>{answer}</strong>
        </p>
      )}
      {rationale !== "" && <blockquote>{rationale}</blockquote>}
      {overruled.length > 0 && <p>Overruled: {overruled.join(", ")}.</p>}
      {votes.length > 1 && (
        <p className="source-note">Votes: {votes.map(({ answer: one, count }) => `${one} ${count}`).join(", ")}</p>
      )}
      {note !== "" && <p className="source-note">{note}</p>}
    </div>
  );
}

function OpinionRow({ opinion, overruled }: { opinion: Opinion; overruled: boolean }) {
  return (
    <li className={overruled ? "overruled" : ""}>
      <strong>{opinion.specialist}:</strong> {opinion.answer}{" "}
      {opinion.agrees !== null && <span className="badge">{overruled ? "Overruled" : "Agrees"}</span>}
      {(opinion.rationale !== "" || opinion.model !== "") && (
        <details>
          <summary>Reasons</summary>
          {opinion.rationale !== "" && <blockquote>{opinion.rationale}</blockquote>}
          {opinion.model !== "" && <p className="source-note">Model: {opinion.model}</p>}
        </details>
      )}
    </li>
  );
}
