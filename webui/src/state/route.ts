/** Keeps the address and what is open in step, so that reload, back and bookmarks work. */

import type { Actions } from "./actions";
import type { AppState, AppStore } from "./app";

const WORKERS = "/workers";

/** The conversation's id, or the name of a page behind a slash. */
export const addressOf = ({ page, current }: AppState): string => (page === "workers" ? WORKERS : current);

/**
 * Opens what the address names as soon as the server is connected, and follows from then on. What was opened while
 * it connected goes before the address.
 */
export function followAddress(store: AppStore, actions: Actions): void {
  const address = (): string => window.location.hash.slice(1);
  const openAddress = (): void => {
    if (address() === addressOf(store.get())) return;
    if (address() === WORKERS) actions.showPage("workers");
    else void actions.open(address());
  };
  let shown = addressOf(store.get());
  let following = false;

  const start = (): void => {
    following = true;
    window.addEventListener("hashchange", openAddress);
    openAddress();
  };
  const follow = (): void => {
    if (!following && store.get().connection !== "ready") return;
    const now = addressOf(store.get());
    if (now !== shown) {
      shown = now;
      if (now !== address()) window.history.pushState(null, "", `#${now}`);
    }
    if (!following) start();
  };
  store.subscribe(follow);
}
