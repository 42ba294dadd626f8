/** Markdown of an answer to safe HTML: `[1]` as links to the tool calls of the same turn, claims as marked words. */

import DOMPurify from "dompurify";
import { Marked, type TokenizerAndRendererExtension } from "marked";
import type { Claim } from "../api/types";
import { MARKED, markClaims, markStart, withoutMarks } from "../state/claims";

const TAGS =
  "p br strong em del code pre blockquote ul ol li h1 h2 h3 h4 h5 h6 table thead tbody tr th td hr a sup span".split(
    " ",
  );
const ATTRIBUTES = ["href", "class", "title", "start", "align", "data-call", "data-claim", "role", "tabindex"];

/** `calls` is the number of calls in the turn; larger numbers in brackets stay plain text. */
export function renderMarkdown(text: string, calls: number, claims: readonly Claim[] = []): string {
  return DOMPurify.sanitize(toHtml(text, calls, claims), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
  });
}

/** Not yet sanitized, though HTML in the text is shown as it is written. */
export function toHtml(text: string, calls: number, claims: readonly Claim[]): string {
  const marked = new Marked({
    gfm: true,
    async: false,
    extensions: [citations(calls), claimMarks(claims)],
    renderer: { html: ({ text: written }) => escape(written) },
    // Where a mark cannot be shown, as in code or an address, it must not be seen either.
    walkTokens(token) {
      if (token.type === "link" || token.type === "image") token["href"] = withoutMarks(String(token["href"]));
    },
  });
  return withoutMarks(marked.parse(markClaims(text, claims)) as string);
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escape = (text: string): string => text.replace(/[&<>"]/g, (character) => ENTITIES[character] ?? "");

function citations(calls: number): TokenizerAndRendererExtension {
  return {
    name: "citation",
    level: "inline",
    start: (source) => source.search(/\[\d{1,2}\](?!\()/),
    tokenizer(source) {
      const match = /^\[(\d{1,2})\](?!\()/.exec(source);
      const number = Number(match?.[1]);
      if (match === null || number < 1 || number > calls) return undefined;
      return { type: "citation", raw: match[0], number };
    },
    renderer(token) {
      const number = Number(token["number"]);
      return `<a class="citation" href="#" data-call="${number}" title="Go to result ${number}">${number}</a>`;
    },
  };
}

function claimMarks(claims: readonly Claim[]): TokenizerAndRendererExtension {
  return {
    name: "claim",
    level: "inline",
    start: (source) => {
      const at = markStart(source);
      return at < 0 ? undefined : at;
    },
    tokenizer(source) {
      const match = MARKED.exec(source);
      if (match === null) return undefined;
      return { type: "claim", raw: match[0], number: Number(match[1]), text: match[2] };
    },
    renderer(token) {
      const number = Number(token["number"]);
      const words = escape(String(token["text"]));
      const open = `<span role="button" tabindex="0" data-claim="${number}"`;
      if (claims[number]?.supported === true) return `${open} class="claim">${words}</span>`;
      return `${open} class="claim unsupported">${words}<span class="visually-hidden"> (no source)</span></span>`;
    },
  };
}
