/** How a person likes the page to look; kept in this browser. */

export type Theme = "auto" | "light" | "dark";

/** `split` is the viewer's share of the width beside the chat, 0 to 1. */
export interface Preferences {
  theme: Theme;
  sidebar: boolean;
  split: number;
}

export const SPLIT = { least: 0.25, most: 0.7, step: 0.02 } as const;

const NAME = "mmedagent.preferences";
const DEFAULT: Preferences = { theme: "auto", sidebar: true, split: 0.42 };
const THEMES: readonly Theme[] = ["auto", "light", "dark"];

export const nextTheme = (theme: Theme): Theme => THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto";

export const clampSplit = (split: number): number => Math.min(SPLIT.most, Math.max(SPLIT.least, split));

/** What was kept, as far as it makes sense. */
export function loadPreferences(storage: Pick<Storage, "getItem">): Preferences {
  try {
    const kept = JSON.parse(storage.getItem(NAME) ?? "{}") as Partial<Preferences>;
    return {
      theme: THEMES.find((theme) => theme === kept.theme) ?? DEFAULT.theme,
      sidebar: typeof kept.sidebar === "boolean" ? kept.sidebar : DEFAULT.sidebar,
      split: typeof kept.split === "number" ? clampSplit(kept.split) : DEFAULT.split,
    };
  } catch {
    return DEFAULT;
  }
}

export function savePreferences(storage: Pick<Storage, "setItem">, preferences: Preferences): void {
  storage.setItem(NAME, JSON.stringify(preferences));
}
