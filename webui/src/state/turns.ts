/** A turn as the page shows it, and how stream events and stored items build it. No side effects. */

import type {
  CallItem,
  CallTimes,
  Claim,
  Item,
  JsonObject,
  StreamEvent,
  ToolOutput,
  TurnObject,
} from "../api/types";
import { splitInputBoxes, type Box, type Point } from "./boxes";

export interface Thoughts {
  kind: "thoughts";
  id: string;
  index: number;
  text: string;
}

/** How far a running call is, 0 to 1 where it can tell, and what it is doing. */
export interface Progress {
  fraction: number | null;
  text: string;
}

/** `id` is the call's own, as claims and reruns name it. `number` counts the calls of the turn from 1 and is cited.
 *
 * `startedAt` is in milliseconds since the Unix epoch, null when it is not known; `seconds` is null while the call runs.
 */
export interface Call {
  kind: "call";
  id: string;
  index: number;
  number: number;
  tool: string;
  arguments: JsonObject;
  state: "running" | "done" | "failed" | "skipped" | "stopped";
  progress: Progress | null;
  startedAt: number | null;
  seconds: number | null;
  output: ToolOutput | null;
  error: string | null;
}

export interface Answer {
  kind: "answer";
  id: string;
  index: number;
  text: string;
  claims: readonly Claim[];
}

const FAILED = "The turn failed. Ask again, or look at the workers page to see what is not answering.";

export type Step = Thoughts | Call | Answer;

export interface Failure {
  message: string;
  correlationId: string | null;
}

/** What a person asks, of the slice `slice` of an image with several. `parent` is the response that it follows, null for a first message. */
export interface Question {
  text: string;
  boxes: readonly Box[];
  points?: readonly Point[];
  fileId: string | null;
  slice?: number | null;
  parent: string | null;
}

/** `id` is the page's own and stays; `responseId` comes with the first event. `cursor` is the number of the last event.
 *
 * `reused` are the calls whose results a rerun took over. Times are in milliseconds since the Unix epoch.
 */
export interface Turn extends Question {
  id: string;
  responseId: string | null;
  rerunOf: string | null;
  reused: readonly string[];
  cursor: number | null;
  startedAt: number;
  endedAt: number | null;
  steps: readonly Step[];
  state: "running" | "done" | "failed" | "stopped";
  failure: Failure | null;
}

export function startTurn(id: string, question: Question, now = 0, rerunOf: string | null = null): Turn {
  return {
    ...question,
    id,
    responseId: null,
    rerunOf,
    reused: [],
    cursor: null,
    startedAt: now,
    endedAt: null,
    steps: [],
    state: "running",
    failure: null,
  };
}

export const callsOf = (turn: Turn): Call[] => turn.steps.filter((step) => step.kind === "call");

/** The image that a conversation is about: the server uses it too for a message without one. */
export const lastFileId = (turns: readonly Turn[]): string | null =>
  turns.findLast((turn) => turn.fileId !== null)?.fileId ?? null;

/** The turn after `event`. Events that say nothing new leave it as it is. */
export const applyEvent = (turn: Turn, event: StreamEvent): Turn =>
  change({ ...turn, cursor: event.sequence_number }, event, event.at * 1000);

function change(turn: Turn, event: StreamEvent, now: number): Turn {
  switch (event.type) {
    case "response.created":
      return {
        ...turn,
        responseId: event.response.id,
        parent: event.response.mmedagent.parent,
        reused: event.response.mmedagent.reused,
      };
    case "response.output_item.added":
      // A replay may begin a text anew that had begun before.
      return withItem(
        withText(turn, event.item.id, () => ""),
        event.item,
        event.output_index,
        now,
      );
    case "response.output_item.done":
      return withItem(turn, event.item, event.output_index, now);
    case "response.reasoning_summary_text.delta":
    case "response.output_text.delta":
      return withText(turn, event.item_id, (text) => text + event.delta);
    case "response.reasoning_summary_text.done":
    case "response.output_text.done":
      return withText(turn, event.item_id, () => event.text);
    case "response.mcp_call_arguments.done":
      return withCall(turn, event.item_id, { arguments: parseObject(event.arguments) });
    case "response.mcp_call.in_progress":
      return event.mmedagent === undefined ? turn : withCall(turn, event.item_id, { progress: event.mmedagent });
    case "response.completed":
      return { ...turn, state: "done", endedAt: now };
    case "response.failed":
      if (event.response.error?.code === "cancelled") return endTurn(turn, "stopped", now);
      return endTurn(turn, "failed", now, event.response.error?.message ?? FAILED, event.correlationId);
    default:
      return turn;
  }
}

/** The turn ended early: calls that still ran are marked as stopped. */
export function endTurn(
  turn: Turn,
  state: "failed" | "stopped",
  now: number,
  message = "",
  correlationId: string | null | undefined = null,
): Turn {
  const steps = turn.steps.map((step) =>
    step.kind === "call" && step.state === "running" ? { ...step, state: "stopped" as const } : step,
  );
  return {
    ...turn,
    steps,
    state,
    endedAt: now,
    failure: state === "failed" ? { message, correlationId: correlationId ?? null } : null,
  };
}

/** A stored turn. One that still runs has no steps yet: following it from its first event builds them. */
export function turnOf(stored: TurnObject): Turn {
  const { text, boxes, points } = splitInputBoxes(stored.question);
  const question = { text, boxes, points, fileId: stored.file_id, slice: stored.slice, parent: stored.parent };
  const begun: Turn = {
    ...startTurn(stored.id, question, stored.created_at * 1000, stored.rerun_of),
    responseId: stored.id,
    reused: stored.reused,
  };
  if (stored.status === "in_progress") return begun;
  const items = stored.output.reduce((made, item) => withItem(made, item, made.steps.length, null), begun);
  const endedAt = stored.ended_at === null ? null : stored.ended_at * 1000;
  const turn = { ...withTimes(items, stored.call_times), endedAt };
  if (stored.status === "completed") return { ...turn, state: "done" };
  const state = stored.status === "cancelled" ? "stopped" : "failed";
  return { ...endTurn(turn, state, 0, stored.error?.message ?? FAILED), endedAt };
}

function withTimes(turn: Turn, times: Readonly<Record<string, CallTimes>>): Turn {
  const timed = (step: Step): Step => {
    const { started_at: start, ended_at: end } = times[step.id] ?? {};
    if (step.kind !== "call" || start === undefined) return step;
    return { ...step, startedAt: start * 1000, seconds: end === undefined ? null : end - start };
  };
  return { ...turn, steps: turn.steps.map(timed) };
}

/** A call's item carries the call's id behind a prefix. */
const stepId = (itemId: string): string => itemId.replace(/^mcp_/, "");

/** `now` is null for an item from the store: nobody saw when it began. */
function withItem(turn: Turn, item: Item, index: number, now: number | null): Turn {
  const old = turn.steps.find((step) => step.id === stepId(item.id));
  const step = stepOf(item, index, now, old, callsOf(turn).length + 1);
  const steps = old === undefined ? [...turn.steps, step] : turn.steps.map((each) => (each === old ? step : each));
  return { ...turn, steps: steps.sort((a, b) => a.index - b.index) };
}

function stepOf(item: Item, index: number, now: number | null, old: Step | undefined, nextNumber: number): Step {
  const written = old !== undefined && old.kind !== "call" ? old.text : "";
  switch (item.type) {
    case "reasoning":
      return {
        kind: "thoughts",
        id: item.id,
        index,
        text: item.summary.map((part) => part.text).join("\n\n") || written,
      };
    case "message":
      return {
        kind: "answer",
        id: item.id,
        index,
        text: item.content.map((part) => part.text).join("") || written,
        claims: item.mmedagent?.claims ?? [],
      };
    case "mcp_call":
      return callOf(item, index, now, old?.kind === "call" ? old : undefined, nextNumber);
  }
}

function callOf(item: CallItem, index: number, now: number | null, old: Call | undefined, nextNumber: number): Call {
  const output = item.output === null ? null : parseOutput(item.output);
  const startedAt = old?.startedAt ?? now;
  const ended = item.status === "completed" || item.status === "failed";
  return {
    kind: "call",
    id: stepId(item.id),
    index,
    number: old?.number ?? nextNumber,
    tool: item.name,
    arguments: item.arguments === "" ? (old?.arguments ?? {}) : parseObject(item.arguments),
    state: CALL_STATES[item.status],
    progress: ended ? null : (old?.progress ?? null),
    startedAt,
    seconds: ended && startedAt !== null && now !== null ? (now - startedAt) / 1000 : null,
    output,
    error: item.error?.content.map((part) => part.text).join(" ") ?? null,
  };
}

const CALL_STATES = { in_progress: "running", completed: "done", failed: "failed", incomplete: "skipped" } as const;

function withStep(turn: Turn, itemId: string, change: (step: Step) => Step): Turn {
  const id = stepId(itemId);
  return { ...turn, steps: turn.steps.map((step) => (step.id === id ? change(step) : step)) };
}

function withCall(turn: Turn, itemId: string, part: Partial<Call>): Turn {
  return withStep(turn, itemId, (step) => (step.kind === "call" ? { ...step, ...part } : step));
}

function withText(turn: Turn, id: string, change: (text: string) => string): Turn {
  return withStep(turn, id, (step) => (step.kind === "call" ? step : { ...step, text: change(step.text) }));
}

function parseObject(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
  } catch {
    return {};
  }
}

function parseOutput(text: string): ToolOutput | null {
  const value = parseObject(text);
  return "data" in value && "provenance" in value ? (value as unknown as ToolOutput) : null;
}
