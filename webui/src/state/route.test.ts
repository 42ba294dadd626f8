import { expect, test } from "vitest";
import { ApiError, type KeyStore } from "../api/http";
import type { Client } from "../api/client";
import { sample } from "../api/sample";
import type { Report } from "../api/types";
import { createActions } from "./actions";
import { createAppStore } from "./app";
import { loadPreferences } from "./preferences";
import { addressOf, openAddress } from "./route";
import { startTurn } from "./turns";

/** A page on a server whose conversations `here` and `there` were opened before, each with one turn that is done. */
function page() {
  const store = createAppStore(loadPreferences({ getItem: () => null }));
  const turn = startTurn("t", { text: "What?", boxes: [], fileId: null, parent: null });
  const thread = (responseId: string) => [{ ...turn, id: responseId, responseId, state: "done" as const }];
  store.set({ current: "here", threads: { here: thread("resp_1"), there: thread("resp_2") } });
  const client = {
    report: (id: string) =>
      id === "resp_1"
        ? Promise.resolve(sample<Report>({ response_id: id, sections: [] }))
        : Promise.reject(new ApiError("The turn failed.", 409)),
  } as unknown as Client;
  const keys: KeyStore = { get: () => null, set: () => undefined };
  const actions = createActions({ store, client, keys, storage: { setItem: () => undefined }, save: () => undefined });
  return { store, open: (address: string) => openAddress(address, store, actions) };
}

test("an address names a conversation, a report or a page, and opens it", async () => {
  const { store, open } = page();
  for (const address of ["/workers", "there", "here/report/resp_1", "here", "here/report/resp_1", "there"]) {
    await open(address);
    expect(addressOf(store.get())).toBe(address);
    expect(store.get().notice).toBeNull();
  }
});

test("going from a report to its conversation and back keeps what is written there", async () => {
  const { store, open } = page();
  store.set({ text: "Is it", boxes: [[0, 0, 0.5, 0.5]] });
  await open("here/report/resp_1");
  expect(store.get().report?.report?.response_id).toBe("resp_1");
  await open("here");
  expect(store.get()).toMatchObject({ report: null, text: "Is it", boxes: [[0, 0, 0.5, 0.5]] });
});

test.each([
  ["here/report/resp_2", "here", "There is no such report in this conversation."],
  ["there/report/resp_2", "there", "The turn failed."],
])("%s cannot be opened, which is said in words", async (address, shown, message) => {
  const { store, open } = page();
  await open(address);
  expect(addressOf(store.get())).toBe(shown);
  expect(store.get().notice).toMatchObject({ message });
});
