import { useApp, useAppState } from "../view/context";
import { EXAMPLE_STUDIES, fetchExample, type ExampleStudy } from "../view/examples";

/** Needs no image; the words stay in the text field until the person sends them. */
const QUESTION = "What is pneumonia and how is it treated?";

export function Welcome() {
  const { actions } = useApp();
  const tools = useAppState((state) => state.tools);
  const studies = EXAMPLE_STUDIES.filter((study) => study.tools.every((tool) => tool in tools));
  const ask = (text: string): void => {
    actions.setText(text);
    document.getElementById("message")?.focus();
  };
  const open = async (study: ExampleStudy): Promise<void> => {
    ask(study.question);
    await actions.attach([await fetchExample(study)]);
    actions.setBoxes(study.box === null ? [] : [study.box]);
  };
  return (
    <section className="welcome" aria-labelledby="welcome-title">
      <h2 id="welcome-title">Ask about a medical image</h2>
      <p>
        Attach PNG, JPEG, DICOM or NIfTI files, or the folder of a series, and ask in plain words. You see every tool
        that runs, and what each answer rests on.
      </p>
      {studies.length > 0 && <h3>Or try an example, drawn by a program</h3>}
      <ul className="examples">
        {studies.map((study) => (
          <li key={study.file}>
            <button type="button" onClick={() => void open(study)}>
              <span className="example-title">
                <span className="modality">{study.modality}</span> {study.title}
              </span>
              <small>{study.question}</small>
            </button>
          </li>
        ))}
        {"retrieval" in tools && (
          <li>
            <button type="button" onClick={() => ask(QUESTION)}>
              <span className="example-title">
                <span className="modality">No image</span> Handbook
              </span>
              <small>{QUESTION}</small>
            </button>
          </li>
        )}
      </ul>
    </section>
  );
}
