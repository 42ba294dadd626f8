/** The calls of the public API that the page makes. Paths are relative, so the page works under any prefix. */

import { REQUEST_ID, type Request } from "./http";
import { readMessages } from "./sse";
import type { Conversation, FileObject, Input, Item, JsonObject, StreamEvent, ToolCard, WorkerInfo } from "./types";

export type Client = ReturnType<typeof createClient>;

export function createClient(request: Request) {
  const json = async <T>(path: string, init?: RequestInit): Promise<T> =>
    (await request(path, init)).json() as Promise<T>;
  const list = async <T>(path: string): Promise<T[]> => (await json<{ data: T[] }>(path)).data;
  const post = (body: unknown): RequestInit => ({
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

  return {
    models: () => list<{ id: string }>("v1/models"),
    tools: () => list<ToolCard>("v1/tools"),
    workers: () => list<WorkerInfo>("v1/workers"),
    conversations: () => list<Conversation>("v1/conversations"),
    createConversation: () => json<Conversation>("v1/conversations", post({})),
    deleteConversation: async (id: string) => void (await request(`v1/conversations/${id}`, { method: "DELETE" })),
    /** Oldest first. */
    items: (conversation: string) => list<Item>(`v1/conversations/${conversation}/items?order=asc`),
    file: (id: string) => json<FileObject>(`v1/files/${id}`),
    artifact: async (sha256: string) => (await request(`v1/artifacts/${sha256}`)).blob(),

    upload(file: File): Promise<FileObject> {
      const form = new FormData();
      form.set("purpose", "vision");
      form.set("file", file);
      return json<FileObject>("v1/files", { method: "POST", body: form });
    },

    /** Runs a turn. Aborting `signal` closes the connection, and with it the turn. */
    async *respond(
      model: string,
      conversation: string,
      input: Input,
      signal: AbortSignal,
    ): AsyncGenerator<StreamEvent> {
      const body = { model, conversation, input: [input], stream: true };
      yield* events(await request("v1/responses", { ...post(body), signal }));
    },

    /** Runs one call of a turn again with other parameters, what depends on it, and the answer. */
    async *rerun(
      response: string,
      call: string,
      parameters: JsonObject,
      signal: AbortSignal,
    ): AsyncGenerator<StreamEvent> {
      const body = { call_id: call, parameters, stream: true };
      yield* events(await request(`v1/responses/${response}/rerun`, { ...post(body), signal }));
    },
  };
}

async function* events(response: Response): AsyncGenerator<StreamEvent> {
  if (response.body === null) return;
  for await (const message of readMessages(response.body)) {
    const event = JSON.parse(message.data) as StreamEvent;
    yield event.type === "response.failed" ? { ...event, correlationId: response.headers.get(REQUEST_ID) } : event;
  }
}
