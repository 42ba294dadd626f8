/** Keys that are meant for the whole page. */

/**
 * Whether a key stops the turn that runs: Escape that nothing else has used. An open dialog closes with it, also when
 * the focus is outside, as after a click beside its controls.
 */
export const isStopKey = (event: Pick<KeyboardEvent, "key" | "defaultPrevented">, page: ParentNode): boolean =>
  event.key === "Escape" && !event.defaultPrevented && page.querySelector("dialog[open]") === null;
