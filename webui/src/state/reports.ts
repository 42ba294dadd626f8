/** The report on a turn: reading, editing, reviewing, signing. */

import { ApiError } from "../api/http";
import type { Report, ReportState } from "../api/types";
import { allTurnsOf, type OpenReport } from "./app";
import { fallBack, report as tell, type ActionContext } from "./context";

export const NEXT_STATE: Readonly<Record<ReportState, ReportState | null>> = {
  draft: "reviewed",
  reviewed: "signed",
  signed: null,
};

export const loadingReport = (responseId: string): OpenReport => ({ responseId, report: null, saving: false });

export function reportActions(context: ActionContext) {
  const { store, client } = context;

  /** The report on a turn of the current conversation. */
  async function openReport(responseId: string): Promise<void> {
    store.set({ report: loadingReport(responseId), pane: "chat" });
    const known = allTurnsOf(store.get()).some((turn) => turn.responseId === responseId);
    if (known) await change(responseId, () => client.report(responseId));
    else tell(context, new ApiError("There is no such report in this conversation.", 404));
    const { report } = store.get();
    if (report?.responseId === responseId && report.report === null) fallBack(context, closeReport);
  }

  const closeReport = (): void => store.set({ report: null });

  /** What the person wrote, sentence by sentence; the server finds the evidence again. */
  const saveReport = (report: Report): Promise<void> =>
    change(report.response_id, () => client.saveReport(report.response_id, report));

  const setReportState = (report: Report, state: ReportState): Promise<void> =>
    change(report.response_id, () => client.setReportState(report.response_id, state));

  async function change(responseId: string, work: () => Promise<Report>): Promise<void> {
    update(responseId, { saving: true });
    try {
      update(responseId, { report: await work() });
    } catch (error) {
      tell(context, error);
    } finally {
      update(responseId, { saving: false });
    }
  }

  /** Unless the person has opened another report meanwhile. */
  function update(responseId: string, part: { report?: Report; saving?: boolean }): void {
    store.set(({ report }) => (report?.responseId === responseId ? { report: { ...report, ...part } } : {}));
  }

  return { openReport, closeReport, saveReport, setReportState };
}
