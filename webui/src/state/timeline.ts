/** Where the time of a turn went. */

import { callsOf, type Call, type Turn } from "./turns";

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
  /** Whether the starts are known; of a turn from the store they may not be, and every bar begins at 0. */
  placed: boolean;
}

/** `title` gives a tool's name for people. While no call runs, the planner is at work. */
export function timelineOf(turn: Turn, title: (tool: string) => string, now: number): Timeline {
  const calls = callsOf(turn).filter((call) => !turn.reused.includes(call.id) && secondsOf(call, now) > 0);
  const placed = calls.every((call) => call.startedAt !== null) && (calls.length > 0 || turn.endedAt !== null);
  const tools = calls.map((call) => ({
    id: call.id,
    label: `${call.number} ${title(call.tool)}`,
    kind: "tool" as const,
    start: placed ? Math.max(0, ((call.startedAt ?? turn.startedAt) - turn.startedAt) / 1000) : 0,
    seconds: secondsOf(call, now),
    model: call.output?.provenance.seconds ?? null,
  }));
  const ends = tools.map((span) => span.start + span.seconds);
  const end = turn.state === "running" ? now : turn.endedAt;
  const total = Math.max(0, ...ends, end === null ? 0 : (end - turn.startedAt) / 1000);
  return { total, spans: placed ? withPlanner(tools, total) : tools, placed };
}

function secondsOf(call: Call, now: number): number {
  if (call.state === "running" && call.startedAt !== null) return (now - call.startedAt) / 1000;
  return call.seconds ?? 0;
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
