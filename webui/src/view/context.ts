/** React's side of the store. */

import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react";
import type { Actions } from "../state/actions";
import type { AppState, AppStore } from "../state/app";
import type { Studies } from "../viewer/api";
import type { Images } from "./images";

export interface App {
  store: AppStore;
  actions: Actions;
  images: Images;
  studies: Studies;
}

export const AppContext = createContext<App | null>(null);

export function useApp(): App {
  const app = useContext(AppContext);
  if (app === null) throw new Error("A component is shown outside the application.");
  return app;
}

/** A part of the state; `select` gives a value that stays the same object until it changes. */
export function useAppState<T>(select: (state: AppState) => T): T {
  const { store } = useApp();
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}

/** What `load` resolves to: undefined while it runs, null when it failed. Loads again when `key` changes. */
export function useLoaded<T>(key: string | null, load: (key: string) => Promise<T>): T | null | undefined {
  const [loaded, setLoaded] = useState<{ key: string; value: T | null } | null>(null);
  useEffect(() => {
    if (key === null) return undefined;
    let wanted = true;
    load(key).then(
      (value) => wanted && setLoaded({ key, value }),
      () => wanted && setLoaded({ key, value: null }),
    );
    return () => {
      wanted = false;
    };
  }, [key, load]);
  return loaded !== null && loaded.key === key ? loaded.value : undefined;
}
