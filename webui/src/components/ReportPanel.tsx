import { useState } from "react";
import type { Report, Sentence } from "../api/types";
import { allTurnsOf } from "../state/app";
import type { Turn } from "../state/turns";
import { useApp, useAppState } from "../view/context";
import { ExportMenu } from "./ExportMenu";
import { Icon } from "./Icon";
import { ReportSign } from "./ReportSign";
import { SentenceRow } from "./SentenceRow";

/** The report on a turn, in place of the chat; the image stays beside it. */
export function ReportPanel() {
  const { actions } = useApp();
  const open = useAppState((state) => state.report);
  const turn = useAppState((state) => allTurnsOf(state).find((each) => each.responseId === open?.responseId));
  if (open === null) return null;
  return (
    <section className="report-panel" aria-labelledby="report-title">
      <header>
        <button type="button" className="quiet-button" onClick={actions.closeReport}>
          <Icon name="left" /> Back to the chat
        </button>
        {turn !== undefined && <ExportMenu turn={turn} />}
      </header>
      <h2 id="report-title">Report</h2>
      {open.report === null || turn === undefined ? (
        <p className="thread-loading">Loading the report…</p>
      ) : (
        <ReportEditor key={open.report.revision} report={open.report} turn={turn} saving={open.saving} />
      )}
    </section>
  );
}

const TITLES = { findings: "Findings", impression: "Impression" } as const;

/** Changes stay here until they are saved; each save is a revision. */
function ReportEditor({ report, turn, saving }: { report: Report; turn: Turn; saving: boolean }) {
  const { actions } = useApp();
  const [sections, setSections] = useState(report.sections);
  const signed = report.state === "signed";
  const changed = sections !== report.sections;

  const change = (section: number, edit: (sentences: readonly Sentence[]) => Sentence[]): void =>
    setSections(
      sections.map((each, index) => (index === section ? { ...each, sentences: edit(each.sentences) } : each)),
    );

  return (
    <>
      <ReportSign report={report} changed={changed} saving={saving} />
      {sections.map(({ name, sentences }, section) => (
        <section key={name} className="report-section" aria-labelledby={`report-${name}`}>
          <h3 id={`report-${name}`}>{TITLES[name]}</h3>
          {sentences.length === 0 && <p className="nothing">Nothing written yet.</p>}
          <ul>
            {sentences.map((sentence, index) => (
              <SentenceRow
                key={`${index}-${sentences.length}`}
                sentence={sentence}
                turn={turn}
                locked={signed}
                onChange={(next) => change(section, (old) => old.map((each, at) => (at === index ? next : each)))}
                onRemove={() => change(section, (old) => old.filter((_, at) => at !== index))}
              />
            ))}
          </ul>
          {!signed && (
            <button type="button" className="link-button" onClick={() => change(section, (old) => [...old, EMPTY])}>
              Add a sentence
            </button>
          )}
        </section>
      ))}
      {changed && (
        <div className="report-foot">
          <button type="button" className="quiet-button" onClick={() => setSections(report.sections)}>
            Discard changes
          </button>
          <button
            type="button"
            className="primary-button"
            disabled={saving}
            onClick={() => void actions.saveReport({ ...report, sections: sections.map(withoutEmpty) })}
          >
            Save
          </button>
        </div>
      )}
    </>
  );
}

const EMPTY: Sentence = { text: "", claims: [], supported: true, edited: true };

const withoutEmpty = (section: Report["sections"][number]): Report["sections"][number] => ({
  ...section,
  sentences: section.sentences.filter((sentence) => sentence.text.trim() !== ""),
});
