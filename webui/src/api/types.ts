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
  /** Whether masks can be had as NIfTI. */
  has_geometry: boolean;
}

/** `parameters` is a JSON Schema; `examples` are asks with the parameters that they lead to. */
export interface ToolCard {
  name: string;
  title: string;
  version: string;
  description: string;
  needs_image: boolean;
  modalities: string[];
  typical_seconds: number;
  checkpoint_sha256: string | null;
  parameters: JsonObject;
  examples: { ask: string; parameters: JsonObject }[];
}

/** `at` is in seconds since the Unix epoch. */
export interface WorkerError {
  at: number;
  code: string;
  message: string;
}

/** `outstanding` calls are at work or waiting, `queued` of them waiting. Memory is that of the process. */
export interface WorkerInfo {
  worker_id: string;
  kind: "tool" | "planner";
  name: string;
  version: string;
  checkpoint_sha256: string | null;
  label: string;
  state: "ready" | "suspect";
  outstanding: number;
  queued: number;
  concurrency: number;
  completed: number;
  failed: number;
  memory_bytes: number | null;
  last_errors: WorkerError[];
  registered_at: number;
}

/** Whose key this is. */
export interface Me {
  owner: string;
  name: string;
  keys_required: boolean;
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
  | { type: "input_image"; file_id: string; slice?: number }
  | { type: "output_text"; text: string };

/** Where a number, a finding or a citation of an answer comes from. `start` and `end` count characters of the answer.
 *
 * `field` is a JSON pointer into the data of the result of `call_id`. A claim that is not supported has no source.
 */
export interface Claim {
  start: number;
  end: number;
  text: string;
  kind: "number" | "finding" | "citation" | "failure";
  supported: boolean;
  call_id: string | null;
  field: string | null;
  tool: string | null;
  version: string | null;
  checkpoint_sha256: string | null;
  input_sha256: string[];
  score: number | null;
}

export interface MessageItem {
  type: "message";
  id: string;
  role: "user" | "assistant";
  content: Part[];
  mmedagent?: { claims?: Claim[] };
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

/** In seconds since the Unix epoch. The time between them includes waiting. */
export interface CallTimes {
  started_at: number;
  ended_at?: number;
}

/** `parent` is the response that this one follows; a rerun keeps the results of the calls in `reused`. */
export interface Lineage {
  parent: string | null;
  rerun_of: string | null;
  reused: string[];
}

/** A response as the events of its stream carry it. */
export interface ResponseObject {
  id: string;
  status: string;
  error: { code: string; message: string } | null;
  mmedagent?: Lineage;
}

/** A stored turn; times are in seconds since the Unix epoch. `call_times` has the calls that were made, by id. */
export interface TurnObject extends Lineage {
  id: string;
  created_at: number;
  status: "in_progress" | "running" | "completed" | "failed" | "cancelled";
  question: string;
  file_id: string | null;
  slice?: number | null;
  output: Item[];
  error: { code: string; message: string } | null;
  ended_at: number | null;
  call_times: Record<string, CallTimes>;
}

export type Item = MessageItem | ReasoningItem | CallItem;

export interface Input {
  role: "user";
  content: Part[];
}

/** What a new turn is asked. `parent` is the response that it follows; null begins the conversation anew. */
export interface Ask {
  model: string;
  conversation: string;
  parent: string | null;
  input: Input;
  tools: string[] | null;
}

/** `at` is when it happened, in seconds since the Unix epoch. */
interface Numbered {
  sequence_number?: number;
  at?: number;
}

/** `correlationId` comes from the header of the response, not from the event. */
export interface FailedEvent extends Numbered {
  type: "response.failed";
  response: ResponseObject;
  correlationId?: string | null;
}

export type StreamEvent = Numbered &
  (
    | { type: "response.created" | "response.completed" | "response.cancelled"; response: ResponseObject }
    | { type: "response.output_item.added" | "response.output_item.done"; output_index: number; item: Item }
    | { type: "response.reasoning_summary_text.delta" | "response.output_text.delta"; item_id: string; delta: string }
    | { type: "response.reasoning_summary_text.done" | "response.output_text.done"; item_id: string; text: string }
    | { type: "response.mcp_call_arguments.done"; item_id: string; arguments: string }
    | {
        type: "response.mcp_call.in_progress";
        item_id: string;
        mmedagent?: { fraction: number | null; text: string };
      }
    | FailedEvent
    | { type: "error"; code: string | null; message: string }
  );

export interface Sentence {
  text: string;
  claims: Claim[];
  supported: boolean;
}

export type ReportState = "draft" | "reviewed" | "signed";

/** A report on a response. A change names the `revision` that it starts from. Times are seconds since the epoch. */
export interface Report {
  id: string;
  response_id: string;
  state: ReportState;
  revision: number;
  sections: { name: "findings" | "impression"; sentences: Sentence[] }[];
  reviewed_by: string | null;
  reviewed_at: number | null;
  signed_by: string | null;
  signed_at: number | null;
}

export type ExportFormat = "json" | "zip" | "html";
