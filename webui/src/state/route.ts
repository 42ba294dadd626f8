/** Keeps the address and the open conversation in step, so that reload, back and bookmarks work. */

import type { Actions } from "./actions";
import type { AppStore } from "./app";

/** Opens what the address names as soon as the server is connected, and follows from then on. */
export function followAddress(store: AppStore, actions: Actions): void {
  const address = (): string => window.location.hash.slice(1);
  const openAddress = (): void => {
    if (address() !== store.get().current) void actions.open(address());
  };
  let shown: string | null = null;

  const follow = (): void => {
    const { current, connection } = store.get();
    if (connection !== "ready" && shown === null) return;
    if (shown === null) {
      shown = current;
      window.addEventListener("hashchange", openAddress);
      openAddress();
    } else if (current !== shown) {
      shown = current;
      if (current !== address()) window.history.pushState(null, "", `#${current}`);
    }
  };
  store.subscribe(follow);
}
