import { useState } from "react";
import type { Report } from "../api/types";
import { NEXT_STATE } from "../state/reports";
import { moment } from "../state/words";
import { useApp } from "../view/context";

const STATES = { draft: "Draft", reviewed: "Reviewed", signed: "Signed" } as const;
const STEPS = { reviewed: "Mark as reviewed", signed: "Sign", draft: "" } as const;

/** How far a report is, who brought it there and when, and the next step. Signing takes a second press: it is final. */
export function ReportSign({ report, changed, saving }: { report: Report; changed: boolean; saving: boolean }) {
  const { actions } = useApp();
  const [asking, setAsking] = useState(false);
  const next = NEXT_STATE[report.state];
  const step = (): void => {
    if (next === null) return;
    if (next === "signed" && !asking) return setAsking(true);
    void actions.setReportState(report, next);
  };
  return (
    <div className="report-sign">
      <span className={`badge ${report.state}`}>{STATES[report.state]}</span>
      <span className="source-note">
        Revision {report.revision}
        {report.reviewed_at !== null && ` · reviewed by ${report.reviewed_by ?? "?"}, ${moment(report.reviewed_at)}`}
        {report.signed_at !== null && ` · signed by ${report.signed_by ?? "?"}, ${moment(report.signed_at)}`}
      </span>
      {next !== null && (
        <button
          type="button"
          className={asking ? "confirm-button" : "quiet-button"}
          disabled={changed || saving}
          title={changed ? "Save the changes first" : undefined}
          onClick={step}
          onBlur={() => setAsking(false)}
        >
          {asking ? "Really sign? It cannot be changed afterwards" : STEPS[next]}
        </button>
      )}
    </div>
  );
}
