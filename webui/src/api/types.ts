/** Shapes of the public API, under the names that the page has for them.
 *
 * They come from the server's OpenAPI document: `make types` writes `openapi.d.ts` anew. Times are in seconds since the
 * Unix epoch.
 */

import type { components } from "./openapi";

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** What the document leaves open, as parameters and results of tools, is JSON. */
type Known<T> = unknown extends T ? Json : T extends object ? { [Key in keyof T]: Known<T[Key]> } : T;
type Schema<Name extends keyof components["schemas"]> = Known<components["schemas"][Name]>;

export type Frame = Schema<"ImageRef">;
export type FramesInfo = Schema<"FrameInfo">;
export type Edges = Schema<"Edges">;
export type FileObject = Schema<"FileObject">;
export type ToolCard = Schema<"ToolCard">;
export type WorkerInfo = Schema<"WorkerInfo">;
export type Model = Schema<"Model">;
export type Me = Schema<"Me">;
export type Conversation = Schema<"Conversation">;

export type Artifact = Schema<"Artifact">;
/** What the `output` text of a finished tool call holds. */
export type ToolOutput = Pick<Schema<"ToolResult">, "data" | "artifacts" | "provenance">;

export type Claim = Schema<"Claim">;
export type Item = Schema<"OutputItem">;
export type CallItem = Schema<"CallItem">;
export type CallError = Schema<"CallError">;
export type CallTimes = Schema<"CallTimes">;
export type TurnObject = Schema<"Turn">;

/** `correlationId` of a failure comes from the header of the response, not from the event. */
export type StreamEvent = Schema<"StreamEvent"> & { correlationId?: string | null };

export type Report = Schema<"Report">;
export type ReportState = Report["state"];
export type Sentence = Schema<"Sentence">;

export type ResponseRequest = Schema<"ResponseRequest">;
export type RerunRequest = Schema<"RerunRequest">;
export type Part = Schema<"TextPart"> | Schema<"InputImagePart">;

/** What a new turn is asked. `parent` is the response that it follows; null begins the conversation anew. */
export interface Ask {
  model: string;
  conversation: string;
  parent: string | null;
  content: Part[];
  tools: string[] | null;
}

export type ExportFormat = "json" | "zip" | "html";
