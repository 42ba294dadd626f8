/** Markdown of an answer to safe HTML, with `[1]` as links to the tool calls of the same turn. */

import DOMPurify from "dompurify";
import { Marked, type TokenizerAndRendererExtension } from "marked";

const TAGS =
  "p br strong em del code pre blockquote ul ol li h1 h2 h3 h4 h5 h6 table thead tbody tr th td hr a sup".split(" ");
const ATTRIBUTES = ["href", "class", "title", "start", "align", "data-call"];

/** `calls` is the number of calls in the turn; larger numbers in brackets stay plain text. */
export function renderMarkdown(text: string, calls: number): string {
  const html = new Marked({ gfm: true, async: false, extensions: [citations(calls)] }).parse(text) as string;
  return DOMPurify.sanitize(html, { ALLOWED_TAGS: TAGS, ALLOWED_ATTR: ATTRIBUTES, ALLOW_DATA_ATTR: false });
}

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
    renderer: (token) =>
      `<a class="citation" href="#" data-call="${Number(token["number"])}" title="Go to result ${Number(token["number"])}">${Number(token["number"])}</a>`,
  };
}
