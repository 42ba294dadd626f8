/** A turn as the page shows it, and how stream events and stored items build it. No side effects. */

import type { CallItem, Item, JsonObject, MessageItem, Part, StreamEvent, ToolOutput } from "../api/types";
import { splitInputBox, type Box, type Point } from "./boxes";

export interface Thoughts {
  kind: "thoughts";
  id: string;
  index: number;
  text: string;
}

/** `number` counts the calls of the turn from 1; the answer cites it. `seconds` is null while the call runs. */
export interface Call {
  kind: "call";
  id: string;
  index: number;
  number: number;
  tool: string;
  arguments: JsonObject;
  state: "running" | "done" | "failed" | "skipped" | "stopped";
  startedAt: number;
  seconds: number | null;
  output: ToolOutput | null;
  error: string | null;
}

export interface Answer {
  kind: "answer";
  id: string;
  index: number;
  text: string;
}

export type Step = Thoughts | Call | Answer;

export interface Failure {
  message: string;
  correlationId: string | null;
}

export interface Turn {
  id: string;
  text: string;
  box: Box | null;
  points?: readonly Point[];
  fileId: string | null;
  responseId: string | null;
  rerunOf: string | null;
  steps: readonly Step[];
  state: "running" | "done" | "failed" | "stopped";
  failure: Failure | null;
}

export function startTurn(id: string, text: string, box: Box | null, fileId: string | null): Turn {
  return { id, text, box, fileId, responseId: null, rerunOf: null, steps: [], state: "running", failure: null };
}

export const callsOf = (turn: Turn): Call[] => turn.steps.filter((step) => step.kind === "call");

/** The image that a conversation is about: the server uses it too for a message without one. */
export const lastFileId = (turns: readonly Turn[]): string | null =>
  turns.findLast((turn) => turn.fileId !== null)?.fileId ?? null;

/** The turn after `event`; `now` is in milliseconds. Events that the page does not show leave it as it is. */
export function applyEvent(turn: Turn, event: StreamEvent, now: number): Turn {
  switch (event.type) {
    case "response.created":
      return { ...turn, responseId: event.response.id };
    case "response.output_item.added":
    case "response.output_item.done":
      return withItem(turn, event.item, event.output_index, now);
    case "response.reasoning_summary_text.delta":
    case "response.output_text.delta":
      return withText(turn, event.item_id, (text) => text + event.delta);
    case "response.reasoning_summary_text.done":
    case "response.output_text.done":
      return withText(turn, event.item_id, () => event.text);
    case "response.mcp_call_arguments.done":
      return withStep(turn, event.item_id, (step) =>
        step.kind === "call" ? { ...step, arguments: parseObject(event.arguments) } : step,
      );
    case "response.completed":
      return { ...turn, state: "done" };
    case "response.failed":
      return endTurn(turn, "failed", event.response.error?.message ?? "The turn failed.", event.correlationId);
    case "error":
      return endTurn(turn, "failed", event.message);
    default:
      return turn;
  }
}

/** The turn ended early: calls that still ran are marked as stopped. */
export function endTurn(
  turn: Turn,
  state: "failed" | "stopped",
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
    failure: state === "failed" ? { message, correlationId: correlationId ?? null } : null,
  };
}

/** The turns of a stored conversation; each message of the user begins one. */
export function turnsFromItems(items: readonly Item[]): Turn[] {
  const turns: Turn[] = [];
  for (const item of items) {
    if (item.type === "message" && item.role === "user") {
      turns.push({ ...turnOf(item), state: "stopped" });
      continue;
    }
    const turn = turns.at(-1);
    if (turn === undefined) continue;
    const next = withItem(turn, item, turn.steps.length, 0);
    turns[turns.length - 1] = item.type === "message" ? { ...next, state: "done" } : next;
  }
  return turns.map((turn) => (turn.state === "done" ? turn : endTurn(turn, "stopped")));
}

function turnOf(item: MessageItem): Turn {
  const { text, box, points } = splitInputBox(textOf(item.content));
  const image = item.content.find((part) => part.type === "input_image");
  return { ...startTurn(item.id, text, box, image?.file_id ?? null), points };
}

function withItem(turn: Turn, item: Item, index: number, now: number): Turn {
  const old = turn.steps.find((step) => step.id === item.id);
  const step = stepOf(item, index, now, old, callsOf(turn).length + 1);
  const steps = old === undefined ? [...turn.steps, step] : turn.steps.map((each) => (each === old ? step : each));
  return { ...turn, steps: steps.sort((a, b) => a.index - b.index) };
}

function stepOf(item: Item, index: number, now: number, old: Step | undefined, nextNumber: number): Step {
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
      return { kind: "answer", id: item.id, index, text: textOf(item.content) || written };
    case "mcp_call":
      return callOf(item, index, now, old?.kind === "call" ? old : undefined, nextNumber);
  }
}

function callOf(item: CallItem, index: number, now: number, old: Call | undefined, nextNumber: number): Call {
  const output = item.output === null ? null : parseOutput(item.output);
  const startedAt = old?.startedAt ?? now;
  const measured = old === undefined ? (output?.provenance.seconds ?? null) : (now - startedAt) / 1000;
  return {
    kind: "call",
    id: item.id,
    index,
    number: old?.number ?? nextNumber,
    tool: item.name,
    arguments: item.arguments === "" ? (old?.arguments ?? {}) : parseObject(item.arguments),
    state: CALL_STATES[item.status],
    startedAt,
    seconds: item.status === "completed" || item.status === "failed" ? measured : null,
    output,
    error: item.error?.content.map((part) => part.text).join(" ") ?? null,
  };
}

const CALL_STATES = { in_progress: "running", completed: "done", failed: "failed", incomplete: "skipped" } as const;

function withStep(turn: Turn, id: string, change: (step: Step) => Step): Turn {
  return { ...turn, steps: turn.steps.map((step) => (step.id === id ? change(step) : step)) };
}

function withText(turn: Turn, id: string, change: (text: string) => string): Turn {
  return withStep(turn, id, (step) => (step.kind === "call" ? step : { ...step, text: change(step.text) }));
}

function textOf(content: readonly Part[]): string {
  return content.map((part) => (part.type === "input_image" ? "" : part.text)).join("");
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
