import { expect, test } from "vitest";
import { readMessages, SseDecoder } from "./sse";

const STREAM =
  ': hello\r\nevent: a\r\ndata: {"x":1}\r\n\r\nevent: b\ndata: one\ndata: two\n\ndata:é\n\nevent: cut\ndata: never';
const MESSAGES = [
  { event: "a", data: '{"x":1}' },
  { event: "b", data: "one\ntwo" },
  { event: "message", data: "é" },
];

test.each([1, 2, 3, 7, 1000])("messages are the same in pieces of %i characters", (size) => {
  const decoder = new SseDecoder();
  const pieces = STREAM.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
  expect(pieces.flatMap((piece) => decoder.push(piece))).toEqual(MESSAGES);
});

test("a body cut inside a character is read whole", async () => {
  const bytes = new TextEncoder().encode(STREAM);
  const cut = bytes.indexOf(0xc3) + 1;
  const body = new Blob([bytes.slice(0, cut), bytes.slice(cut)]).stream();
  const found = [];
  for await (const message of readMessages(body)) found.push(message);
  expect(found).toEqual(MESSAGES);
});
