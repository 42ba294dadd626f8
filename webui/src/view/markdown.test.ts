import { expect, test } from "vitest";
import { claimAt } from "../api/sample";
import type { Claim } from "../api/types";
import { toHtml } from "./markdown";

const claim = (text: string, answer: string, supported = true): Claim => {
  const start = answer.indexOf(text);
  return claimAt(start, start + text.length, { text, supported });
};

const html = (answer: string, ...claims: Claim[]) => toHtml(answer, 1, claims).trim();

test("a claim is marked in plain, strong and table text", () => {
  const button = '<span role="button" tabindex="0" data-claim="0" class="claim">12 mm²</span>';
  expect(html("Area 12 mm² [1].", claim("12 mm²", "Area 12 mm² [1]."))).toContain(`Area ${button} <a class="citation"`);
  const strong = "The **12 mm²** cyst";
  expect(html(strong, claim("12 mm²", strong))).toBe(`<p>The <strong>${button}</strong> cyst</p>`);
  const table = "| a | b |\n|---|---|\n| 12 mm² | x |";
  expect(html(table, claim("12 mm²", table))).toContain(`<td>${button}</td>`);
});

test("a claim without a source says so", () => {
  expect(html("It is 7.", claim("7", "It is 7.", false))).toContain(
    'class="claim unsupported">7<span class="visually-hidden"> (no source)</span>',
  );
});

test("marks leave no trace in code and addresses", () => {
  const answer = "`12` and [x](/a12b) and ```12```";
  const made = html(answer, claim("12", answer), claim("/a12b", answer));
  expect(made).not.toMatch(/[\uE000-\uE002]|%EE/);
  expect(made).toContain('href="/a12b"');
});

test("HTML in an answer is words", () => {
  expect(html('<img src=x onerror=alert(1)> <span class="claim" data-claim="0">x</span>')).toBe(
    "<p>&lt;img src=x onerror=alert(1)&gt; &lt;span class=&quot;claim&quot; data-claim=&quot;0&quot;&gt;x&lt;/span&gt;</p>",
  );
  const nasty = "<b>1</b>";
  expect(html(`Found ${nasty}.`, claim(nasty, `Found ${nasty}.`))).toContain("&lt;b&gt;1&lt;/b&gt;</span>");
});
