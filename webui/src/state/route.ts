/** Keeps the address and what is open in step, so that reload, back and bookmarks work. */

import type { Actions } from "./actions";
import { NEW, type AppState, type AppStore } from "./app";

const WORKERS = "/workers";
const REPORT = "/report/";

/** The conversation's id, with the response whose report is open, or the name of a page behind a slash. */
export function addressOf({ page, current, report }: Pick<AppState, "page" | "current" | "report">): string {
  if (page === "workers") return WORKERS;
  return report === null ? current : `${current}${REPORT}${report.responseId}`;
}

/** Opens what an address names. A report that is opened or left in the conversation that is shown leaves the rest. */
export async function openAddress(address: string, store: AppStore, actions: Actions): Promise<void> {
  const [conversation = NEW, reportOn = null] = address.split(REPORT);
  const { page, current } = store.get();
  if (address === addressOf(store.get())) return;
  if (address === WORKERS) actions.showPage("workers");
  else if (page !== "chat" || conversation !== current) await actions.open(conversation, reportOn);
  else if (reportOn === null) actions.closeReport();
  else await actions.openReport(reportOn);
}

/**
 * Opens what the address names as soon as the server is connected, and follows from then on. What was opened while
 * it connected goes before the address.
 */
export function followAddress(store: AppStore, actions: Actions, tab: Window): void {
  const address = (): string => tab.location.hash.slice(1);
  let shown = addressOf(store.get());
  let following = false;

  const openIt = (): void => void openAddress(address(), store, actions);
  const start = (): void => {
    following = true;
    tab.addEventListener("hashchange", openIt);
    openIt();
  };
  const follow = (): void => {
    if (!following && store.get().connection !== "ready") return;
    const now = addressOf(store.get());
    if (now !== shown) {
      shown = now;
      // An address that could not be opened is no place to come back to.
      if (now !== address()) tab.history[store.get().fallingBack ? "replaceState" : "pushState"](null, "", `#${now}`);
    }
    if (!following) start();
  };
  store.subscribe(follow);
}
