/** Shapes of the public API, as far as the page reads them. */

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** A displayed frame. `spacing_mm` is millimetres between rows and between columns. */
export interface Frame {
  sha256: string;
  width: number;
  height: number;
  modality: string | null;
  spacing_mm: [number, number] | null;
  spacing_source: string | null;
  slice: number;
}

/** Axes i, j, k in millimetres; `affine` leads from voxels to right, anterior, superior. */
export interface Volume {
  shape: [number, number, number];
  spacing_mm: [number, number, number];
  affine: number[][];
  orientation: string;
  regular: boolean;
}

export interface FileObject {
  id: string;
  filename: string;
  bytes: number;
  frame: Frame;
  frame_count: number;
  volume: Volume | null;
}

export interface ToolCard {
  name: string;
  title: string;
  description: string;
  needs_image: boolean;
}

export interface WorkerInfo {
  worker_id: string;
  kind: "tool" | "planner";
  name: string;
  version: string;
  label: string;
  state: "ready" | "suspect";
}

export interface Conversation {
  id: string;
  title: string;
  created_at: number;
}

export interface Artifact {
  sha256: string;
  kind: "mask" | "overlay" | "text";
  media_type: string;
  label: string;
}

export interface Provenance {
  tool: string;
  version: string;
  checkpoint_sha256: string | null;
  preprocessing: string;
  input_sha256: string[];
  output_sha256: string;
  seconds: number;
  label: string;
}

/** What the `output` text of a finished tool call holds. */
export interface ToolOutput {
  data: JsonObject;
  artifacts: Artifact[];
  provenance: Provenance;
}

export type Part =
  | { type: "input_text"; text: string }
  | { type: "input_image"; file_id: string }
  | { type: "output_text"; text: string };

export interface MessageItem {
  type: "message";
  id: string;
  role: "user" | "assistant";
  content: Part[];
}

export interface ReasoningItem {
  type: "reasoning";
  id: string;
  summary: { type: "summary_text"; text: string }[];
}

export interface CallError {
  type: "mcp_tool_execution_error";
  content: { type: "text"; text: string }[];
}

/** `arguments` and `output` are JSON texts. An incomplete call was not made; `error` says why. */
export interface CallItem {
  type: "mcp_call";
  id: string;
  name: string;
  arguments: string;
  output: string | null;
  error: CallError | null;
  status: "in_progress" | "completed" | "failed" | "incomplete";
}

export type Item = MessageItem | ReasoningItem | CallItem;

export interface Input {
  role: "user";
  content: Part[];
}

/** `correlationId` comes from the header of the response, not from the event. */
export interface FailedEvent {
  type: "response.failed";
  response: { error: { code: string; message: string } | null };
  correlationId?: string | null;
}

export type StreamEvent =
  | { type: "response.created"; response: { id: string } }
  | { type: "response.output_item.added" | "response.output_item.done"; output_index: number; item: Item }
  | { type: "response.reasoning_summary_text.delta" | "response.output_text.delta"; item_id: string; delta: string }
  | { type: "response.reasoning_summary_text.done" | "response.output_text.done"; item_id: string; text: string }
  | { type: "response.mcp_call_arguments.done"; item_id: string; arguments: string }
  | { type: "response.completed" }
  | FailedEvent
  | { type: "error"; code: string | null; message: string };
