/** The calls of the public API that the page makes. Paths are relative, so the page works under any prefix. */

import { REQUEST_ID, type Request, type Upload } from "./http";
import { readMessages } from "./sse";
import type {
  Ask,
  Conversation,
  ExportFormat,
  FileObject,
  JsonObject,
  Me,
  Model,
  Report,
  ReportState,
  RerunRequest,
  ResponseRequest,
  StreamEvent,
  ToolCard,
  TurnObject,
  WorkerInfo,
} from "./types";

export type Client = ReturnType<typeof createClient>;

export function createClient(request: Request, upload: Upload) {
  const json = async <T>(path: string, init?: RequestInit): Promise<T> =>
    (await request(path, init)).json() as Promise<T>;
  const list = async <T>(path: string): Promise<T[]> => (await json<{ data: T[] }>(path)).data;
  const blob = async (path: string): Promise<Blob> => (await request(path)).blob();
  const post = <Body>(body: Body): RequestInit => withBody("POST", body);

  return {
    me: () => json<Me>("v1/me"),
    models: () => list<Model>("v1/models"),
    tools: () => list<ToolCard>("v1/tools"),
    workers: () => list<WorkerInfo>("v1/workers"),

    /** The newest first; those whose title or questions contain `query` when there is one. */
    conversations: (query = "") =>
      list<Conversation>(query === "" ? "v1/conversations" : `v1/conversations?query=${encodeURIComponent(query)}`),
    createConversation: () => json<Conversation>("v1/conversations", post({})),
    renameConversation: (id: string, title: string) => json<Conversation>(`v1/conversations/${id}`, post({ title })),
    deleteConversation: async (id: string) => void (await request(`v1/conversations/${id}`, { method: "DELETE" })),
    /** All branches, the oldest first. */
    turns: (conversation: string) => list<TurnObject>(`v1/conversations/${conversation}/turns`),
    export: (conversation: string, format: ExportFormat) => blob(`v1/conversations/${conversation}/export/${format}`),

    file: (id: string) => json<FileObject>(`v1/files/${id}`),
    artifact: (sha256: string) => blob(`v1/artifacts/${sha256}`),
    maskVolume: (file: string, sha256: string) => blob(`v1/files/${file}/masks/${sha256}.nii.gz`),
    /** One study: a single file, or all files of a series. `onProgress` gets the share that has been sent. */
    async upload(
      files: readonly File[],
      onProgress: (share: number) => void,
      signal: AbortSignal,
    ): Promise<FileObject> {
      const form = new FormData();
      form.set("purpose", "vision");
      for (const file of files) form.append("file", file);
      return (await upload("v1/files", form, onProgress, signal)) as FileObject;
    },

    /** Runs a turn that goes on when the page is closed, and gives its events. */
    ask: ({ model, conversation, parent, content, tools }: Ask, signal: AbortSignal) =>
      events(
        request("v1/responses", {
          ...post<ResponseRequest>({
            model,
            ...(parent === null ? { conversation, begin_anew: true } : { previous_response_id: parent }),
            input: [{ role: "user", content }],
            ...(tools === null ? {} : { allowed_tools: tools }),
            stream: true,
            background: true,
          }),
          signal,
        }),
      ),
    /** Runs one call of a turn again with other parameters, what depends on it, and the answer. */
    rerun: (response: string, call: string, parameters: JsonObject, signal: AbortSignal) =>
      events(
        request(`v1/responses/${response}/rerun`, {
          ...post<RerunRequest>({ call_id: call, parameters, stream: true, background: true }),
          signal,
        }),
      ),
    /** The events of a turn after number `after`: those that have been, then those to come. */
    follow: (response: string, after: number | null, signal: AbortSignal) =>
      events(
        request(`v1/responses/${response}?stream=true${after === null ? "" : `&starting_after=${after}`}`, { signal }),
      ),
    cancel: async (response: string) => void (await request(`v1/responses/${response}/cancel`, { method: "POST" })),

    report: (response: string) => json<Report>(`v1/responses/${response}/report`),
    saveReport: (response: string, { revision, sections }: Pick<Report, "revision" | "sections">) =>
      json<Report>(`v1/responses/${response}/report`, {
        ...withBody("PUT", { sections }, { "If-Match": `"${revision}"` }),
      }),
    setReportState: (response: string, state: ReportState) =>
      json<Report>(`v1/responses/${response}/report/state`, post({ state })),
    overlayPicture: (response: string) => blob(`v1/responses/${response}/overlay.png`),
  };
}

const withBody = (method: string, body: unknown, headers: Record<string, string> = {}): RequestInit => ({
  method,
  headers: { "Content-Type": "application/json", ...headers },
  body: JSON.stringify(body),
});

async function* events(answer: Promise<Response>): AsyncGenerator<StreamEvent> {
  const response = await answer;
  if (response.body === null) return;
  for await (const message of readMessages(response.body)) {
    if (message.data === "[DONE]") return;
    const event = JSON.parse(message.data) as StreamEvent;
    yield event.type === "response.failed" ? { ...event, correlationId: response.headers.get(REQUEST_ID) } : event;
  }
}
