/** Where the time of a turn went. */

import { callsOf, type Turn } from "./turns";

/** `start` and `seconds` are seconds from the start of the turn. `model` is what the tool itself took of them. */
export interface Span {
  id: string;
  label: string;
  kind: "planner" | "tool";
  start: number;
  seconds: number;
  model: number | null;
}

export interface Timeline {
  /** Length of the turn in seconds. */
  total: number;
  spans: readonly Span[];
}

/** `title` gives a tool's name for people, `now` is in milliseconds. While no call runs, the planner is at work. */
export function timelineOf(turn: Turn, title: (tool: string) => string, now: number): Timeline {
  const tools = callsOf(turn).flatMap((call): Span[] => {
    if (call.startedAt === null || turn.reused.includes(call.id)) return [];
    const start = Math.max(0, (call.startedAt - turn.startedAt) / 1000);
    const seconds = call.seconds ?? ((turn.endedAt ?? now) - call.startedAt) / 1000;
    const label = `${call.number} ${title(call.tool)}`;
    return [{ id: call.id, label, kind: "tool", start, seconds, model: call.output?.provenance.seconds ?? null }];
  });
  const ends = tools.map((span) => span.start + span.seconds);
  const total = Math.max(0, ...ends, ((turn.endedAt ?? now) - turn.startedAt) / 1000);
  return { total, spans: withPlanner(tools, total) };
}

/** Gaps in which no tool runs, shorter than 5 ms, are not worth a line. */
const SHORTEST = 0.005;

function withPlanner(tools: readonly Span[], total: number): Span[] {
  const spans: Span[] = [];
  let busyUntil = 0;
  const planner = (until: number): void => {
    const seconds = until - busyUntil;
    const label = spans.length === 0 ? "Plan" : until === total ? "Answer" : "Next plan";
    if (seconds < SHORTEST) return;
    spans.push({ id: `planner-${busyUntil}`, label, kind: "planner", start: busyUntil, seconds, model: null });
  };
  for (const span of [...tools].sort((a, b) => a.start - b.start)) {
    if (span.start > busyUntil) planner(span.start);
    spans.push(span);
    busyUntil = Math.max(busyUntil, span.start + span.seconds);
  }
  planner(total);
  return spans;
}
