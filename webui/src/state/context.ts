/** What every action works with. */

import type { Client } from "../api/client";
import { ApiError, type KeyStore } from "../api/http";
import type { FileObject } from "../api/types";
import type { AppStore } from "./app";

export interface ActionContext {
  store: AppStore;
  client: Client;
  keys: KeyStore;
  /** Where preferences are kept. */
  storage: Pick<Storage, "setItem">;
  /** Gives a file to the person under this name. */
  save: (blob: Blob, name: string) => void;
}

/** Shows a failure; a missing or refused key asks for one instead. */
export function report({ store }: ActionContext, error: unknown): void {
  const failure = error instanceof ApiError ? error : new ApiError("Something went wrong on this page.", 0);
  if (failure.status === 401) store.set({ connection: "needs-key" });
  else store.set({ notice: { message: failure.message, correlationId: failure.correlationId } });
}

/** Leaves what could not be opened by `leave`, so that the address does not come back to it. */
export function fallBack({ store }: ActionContext, leave: () => void): void {
  store.set({ fallingBack: true });
  leave();
  store.set({ fallingBack: false });
}

export function keepFiles({ store }: ActionContext, found: readonly FileObject[]): void {
  store.set(({ files }) => ({ files: { ...files, ...Object.fromEntries(found.map((file) => [file.id, file])) } }));
}
