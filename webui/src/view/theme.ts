import type { AppStore } from "../state/app";

/** Keeps the document in the theme that the person chose; without one the system decides. */
export function followTheme(store: AppStore): void {
  const apply = (): void => {
    const { theme } = store.get().preferences;
    if (document.documentElement.dataset["theme"] !== theme) document.documentElement.dataset["theme"] = theme;
  };
  apply();
  store.subscribe(apply);
}
