import { expect, test } from "vitest";
import { isStopKey } from "./keys";

/** A page in which a dialog is open, or none. */
const page = (dialog: boolean) =>
  ({ querySelector: (selector: string) => (dialog && selector === "dialog[open]" ? {} : null) }) as unknown as Document;
const press = (key: string, defaultPrevented = false) => ({ key, defaultPrevented });

test("Escape stops a turn unless something else closes with it", () => {
  expect(isStopKey(press("Escape"), page(false))).toBe(true);
  expect(isStopKey(press("Escape"), page(true))).toBe(false);
  expect(isStopKey(press("Escape", true), page(false))).toBe(false);
  expect(isStopKey(press("Enter"), page(false))).toBe(false);
});
