/** Server-sent events (WHATWG HTML, section 9.2) out of a fetch body. */

export interface SseMessage {
  event: string;
  data: string;
}

/** Takes text in pieces of any size and gives back each message once it is complete. */
export class SseDecoder {
  private rest = "";
  private event = "";
  private data: string[] = [];

  push(piece: string): SseMessage[] {
    const text = this.rest + piece;
    // A carriage return at the very end may be the first half of CRLF, so it waits for the next piece.
    const end = text.endsWith("\r") ? text.length - 1 : text.length;
    const lines = text.slice(0, end).split(/\r\n|\n|\r/);
    this.rest = (lines.pop() ?? "") + text.slice(end);
    return lines.flatMap((line) => this.line(line));
  }

  private line(line: string): SseMessage[] {
    if (line === "") return this.flush();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.event = value;
    if (field === "data") this.data.push(value);
    return [];
  }

  private flush(): SseMessage[] {
    const message = { event: this.event || "message", data: this.data.join("\n") };
    const complete = this.data.length > 0;
    this.event = "";
    this.data = [];
    return complete ? [message] : [];
  }
}

/** The messages of a response body, in order. Ends when the body ends; throws when the connection breaks. */
export async function* readMessages(body: ReadableStream<Uint8Array>): AsyncGenerator<SseMessage> {
  const decoder = new SseDecoder();
  const text = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* decoder.push(text.decode(value, { stream: true }));
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
