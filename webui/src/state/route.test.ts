import { expect, test } from "vitest";
import { ApiError, type KeyStore } from "../api/http";
import type { Client } from "../api/client";
import { sample } from "../api/sample";
import type { Report, TurnObject } from "../api/types";
import { createActions } from "./actions";
import { createAppStore, NEW } from "./app";
import { loadPreferences } from "./preferences";
import { addressOf, followAddress, openAddress } from "./route";
import { startTurn } from "./turns";

/** An answer that comes when the test says so. */
function later<T>() {
  let resolve: (value: T) => void = () => undefined;
  let reject: (reason: ApiError) => void = () => undefined;
  const promise = new Promise<T>((...ends) => ([resolve, reject] = ends));
  return { promise, resolve, reject };
}

/**
 * A page on a server whose conversations `here` and `there` were opened before, each with one turn that is done.
 *
 * It loads `slow` and the report on `resp_3` when the test says so.
 */
function page() {
  const store = createAppStore(loadPreferences({ getItem: () => null }));
  const turn = startTurn("t", { text: "What?", boxes: [], fileId: null, parent: null });
  const thread = (responseId: string) => [{ ...turn, id: responseId, responseId, state: "done" as const }];
  const here = ["resp_1", "resp_3", "resp_4"].flatMap(thread);
  store.set({ current: "here", threads: { here, there: thread("resp_2") } });
  const slow = later<TurnObject[]>();
  const slowReport = later<Report>();
  const client = {
    turns: (id: string) => (id === "slow" ? slow.promise : Promise.reject(new ApiError("There is none.", 404))),
    report: (id: string) => {
      if (id === "resp_1") return Promise.resolve(sample<Report>({ response_id: id, sections: [] }));
      return id === "resp_3" ? slowReport.promise : Promise.reject(new ApiError("The turn failed.", 409));
    },
  } as unknown as Client;
  const keys: KeyStore = { get: () => null, set: () => undefined };
  const actions = createActions({ store, client, keys, storage: { setItem: () => undefined }, save: () => undefined });
  return { store, actions, slow, slowReport, open: (address: string) => openAddress(address, store, actions) };
}

/** A browser's tab: the addresses it keeps, and which of them it is at. */
class Tab extends EventTarget {
  readonly places: string[] = [];
  at = -1;
  readonly location = { hash: "" };
  readonly history = {
    pushState: (_: null, __: "", hash: string) => this.put(this.at + 1, hash),
    replaceState: (_: null, __: "", hash: string) => this.put(this.at, hash),
  };

  /** What a person writes into the address, or opens as a bookmark. */
  go(address: string): void {
    this.put(this.at + 1, `#${address}`);
    this.dispatchEvent(new Event("hashchange"));
  }

  private put(at: number, hash: string): void {
    this.places.splice(at, at === this.at ? 1 : Infinity, hash.slice(1));
    this.at = at;
    this.location.hash = hash;
  }
}

/** A page that has just been opened at this address, and is connected unless the test does that. */
function followed(address: string, connect = true) {
  const made = page();
  made.store.set({ current: NEW });
  const tab = new Tab();
  tab.go(address);
  followAddress(made.store, made.actions, tab as unknown as Window);
  if (connect) made.store.set({ connection: "ready" });
  return { ...made, tab };
}

/** Until everything that can go on without the test has gone on. */
const settle = () => new Promise((resolve) => void setTimeout(resolve));

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

test("what is opened while an address loads goes after it", async () => {
  const { store, actions, tab, slow } = followed("slow");
  await actions.open("there");
  expect(tab.places).toEqual(["slow", "there"]);
  slow.reject(new ApiError("There is none.", 404));
  await settle();
  expect(tab.places).toEqual(["slow", "there"]);
  expect(addressOf(store.get())).toBe("there");
});

test("a new conversation that is started while an address loads goes after it", () => {
  const { actions, tab } = followed("slow");
  actions.startNew();
  expect(tab.places).toEqual(["slow", NEW]);
});

test("a report that is left while it loads stays in the history", async () => {
  const { actions, tab } = followed("here/report/resp_3");
  actions.closeReport();
  await settle();
  expect(tab.places).toEqual(["here/report/resp_3", "here"]);
});

test.each([
  ["gone", NEW],
  ["gone/report/resp_1", NEW],
  ["here/report/resp_2", "here"],
  ["there/report/resp_2", "there"],
])("%s cannot be opened, and what is shown instead takes its place", async (address, shown) => {
  const { tab } = followed("/workers");
  tab.go(address);
  await settle();
  expect(tab.places).toEqual(["/workers", shown]);
});

test("an address that fails gives up its own place, also when an earlier one has loaded meanwhile", async () => {
  const { tab, slow, slowReport } = followed("slow");
  tab.go("here/report/resp_3");
  slow.resolve([]);
  await settle();
  slowReport.reject(new ApiError("The turn failed.", 409));
  await settle();
  expect(tab.places).toEqual(["slow", "here"]);
});

test("what was opened while the page connects stays open", async () => {
  const { store, actions, tab } = followed("here", false);
  await actions.open("there");
  expect(tab.places).toEqual(["here"]);
  store.set({ connection: "ready" });
  await settle();
  expect(addressOf(store.get())).toBe("there");
  expect(tab.places).toEqual(["here", "there"]);
});

test("a report that fails leaves the one that was opened meanwhile", async () => {
  const { store, actions, slowReport } = page();
  const failing = actions.openReport("resp_4");
  const opened = actions.openReport("resp_3");
  await failing;
  expect(store.get().report).toEqual({ responseId: "resp_3", report: null, saving: true });
  slowReport.resolve(sample<Report>({ response_id: "resp_3", sections: [] }));
  await opened;
  expect(store.get().report).toMatchObject({ report: { response_id: "resp_3" }, saving: false });
});
