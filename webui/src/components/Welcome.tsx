import { useApp, useAppState } from "../view/context";

/** Each needs its tool; the words stay in the text field until the person sends them. */
const EXAMPLES = [
  { tool: "classification", text: "What modality is this?", hint: "with an image" },
  {
    tool: "segmentation",
    text: "Segment the structure in the box and give me its area.",
    hint: "draw a box on the image first",
  },
  { tool: "retrieval", text: "What is pneumonia and how is it treated?", hint: "quotes the handbook, no image needed" },
  {
    tool: "retrieval",
    text: "What modality is this, and what does the handbook say about pneumothorax?",
    hint: "two tools at once",
  },
] as const;

export function Welcome() {
  const { actions } = useApp();
  const tools = useAppState((state) => state.tools);
  const examples = EXAMPLES.filter((example) => example.tool in tools);
  const use = (text: string): void => {
    actions.setText(text);
    document.getElementById("message")?.focus();
  };
  return (
    <section className="welcome" aria-label="Start">
      <h2>Ask about a medical image</h2>
      <p>
        Attach a PNG, JPEG or DICOM file and ask in plain words. You see every tool that runs, and what each answer
        rests on.
      </p>
      <ul className="examples">
        {examples.map((example) => (
          <li key={example.text}>
            <button type="button" onClick={() => use(example.text)}>
              <span>{example.text}</span>
              <small>{example.hint}</small>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
