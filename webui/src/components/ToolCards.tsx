import type { ToolCard } from "../api/types";
import { fieldsOf } from "../state/forms";
import { seconds } from "../state/words";
import { useAppState } from "../view/context";

/** What each tool is for, what it takes, and asks that lead to it. */
export function ToolCards() {
  const tools = useAppState((state) => state.tools);
  return (
    <section aria-labelledby="tools-title">
      <h2 id="tools-title">Tools</h2>
      <div className="tool-cards">
        {Object.values(tools).map((card) => (
          <Card key={card.name} card={card} />
        ))}
      </div>
    </section>
  );
}

function Card({ card }: { card: ToolCard }) {
  return (
    <article className="tool-card" aria-label={card.title}>
      <h3>
        {card.title} <small>{card.version}</small>
      </h3>
      <p>{card.description}</p>
      <p className="source-note">
        {card.needs_image ? "Needs an image" : "Needs no image"} · {card.modalities.join(", ") || "any modality"} ·
        typically {seconds(card.typical_seconds)}
        {card.checkpoint_sha256 !== null && ` · checkpoint ${card.checkpoint_sha256.slice(0, 8)}`}
      </p>
      <details>
        <summary>Parameters</summary>
        <dl className="fields">
          {fieldsOf(card.parameters).map((field) => (
            <div key={field.name}>
              <dt>
                {field.label}
                {field.required && " (needed)"}
              </dt>
              <dd>{[field.choices.join(", "), field.help].filter((part) => part !== "").join(" · ")}</dd>
            </div>
          ))}
        </dl>
      </details>
      {card.examples.length > 0 && (
        <details>
          <summary>Asks that lead to it</summary>
          <ul className="asks">
            {card.examples.map((example) => (
              <li key={example.ask}>{example.ask}</li>
            ))}
          </ul>
        </details>
      )}
    </article>
  );
}
