import { expect, test } from "vitest";
import type { ToolCard } from "../api/types";
import { entriesOf, fieldsOf, readEntries } from "./forms";

const CARDS = import.meta.glob<ToolCard>("../../../protocol/cards/*.json", { eager: true, import: "default" });

function card(name: string): ToolCard {
  const found = CARDS[`../../../protocol/cards/${name}.json`];
  if (found === undefined) throw new Error(`There is no card ${name}.`);
  return found;
}

test("the fields of the built-in cards come back as the parameters that were put in", () => {
  for (const name of ["grounding", "segmentation", "grounded_segmentation", "classification", "retrieval"]) {
    const { parameters, examples } = card(name);
    const fields = fieldsOf(parameters);
    for (const example of examples) {
      expect(readEntries(fields, entriesOf(fields, example.parameters))).toEqual({ parameters: example.parameters });
    }
  }
});

test("kinds follow the schema", () => {
  const kinds = Object.fromEntries(fieldsOf(card("grounding").parameters).map(({ name, kind }) => [name, kind]));
  expect(kinds).toMatchObject({ prompts: "list", threshold: "number", slice: "integer" });
  expect(fieldsOf(card("classification").parameters).find(({ name }) => name === "task")?.kind).toBe("choice");
  expect(fieldsOf(card("segmentation").parameters).find(({ name }) => name === "boxes")?.kind).toBe("json");
});

test("what is wrong is said field by field", () => {
  const fields = fieldsOf(card("grounding").parameters);
  const read = readEntries(fields, { prompts: " \n", threshold: "7", slice: "1.5" });
  expect(read).toEqual({
    errors: {
      prompts: "This is needed.",
      threshold: "The most is 1.",
      slice: "This must be a whole number.",
    },
  });
});
