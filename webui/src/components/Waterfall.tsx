import { timelineOf, type Span } from "../state/timeline";
import { toolTitle } from "../state/app";
import type { Turn } from "../state/turns";
import { seconds } from "../state/words";
import { useApp } from "../view/context";

/** Where the time of a turn went, one bar a step. The dark part of a tool's bar is its model at work. */
export function Waterfall({ turn }: { turn: Turn }) {
  const { store } = useApp();
  const { spans, total } = timelineOf(turn, (tool) => toolTitle(store.get(), tool), Date.now());
  if (spans.length === 0) return <p className="source-note">Nothing was measured in this turn.</p>;
  return (
    <section className="waterfall" aria-label="Timeline of the turn">
      <table>
        <thead className="visually-hidden">
          <tr>
            <th>Step</th>
            <th>When</th>
            <th>How long</th>
          </tr>
        </thead>
        <tbody>
          {spans.map((span) => (
            <Row key={span.id} span={span} total={total} />
          ))}
        </tbody>
      </table>
      <p className="source-note">
        {seconds(total)} in all. Grey: the planner. Full green: the tool's model; pale: its queue and the network.
      </p>
    </section>
  );
}

function Row({ span, total }: { span: Span; total: number }) {
  const share = (value: number): string => `${total === 0 ? 0 : (value / total) * 100}%`;
  const model = span.kind === "planner" ? span.seconds : Math.min(span.seconds, span.model ?? 0);
  const rest = span.seconds - model;
  const words =
    span.kind === "planner" || span.model === null
      ? seconds(span.seconds)
      : `${seconds(span.seconds)}, ${seconds(model)} of it in the model`;
  return (
    <tr>
      <th scope="row">{span.label}</th>
      <td className="track">
        <span className="gap" style={{ width: share(span.start) }} />
        <span className="wait" style={{ width: share(rest) }} />
        <span className={`work ${span.kind}`} style={{ width: share(model) }} />
      </td>
      <td className="length">{words}</td>
    </tr>
  );
}
