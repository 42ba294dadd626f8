/** A form for the parameters of a tool, made from the JSON Schema of its card. */

import type { Json, JsonObject } from "../api/types";

/** `list` is one value a line; `json` is what no simpler field can hold. */
export interface Field {
  name: string;
  label: string;
  kind: "number" | "integer" | "text" | "list" | "choice" | "switch" | "json";
  required: boolean;
  help: string;
  choices: readonly string[];
  minimum: number | null;
  maximum: number | null;
}

/** What stands in the fields, by name. An empty optional field is a parameter that is not given. */
export type Entries = Readonly<Record<string, string>>;

export type Read = { parameters: JsonObject } | { errors: Readonly<Record<string, string>> };

const object = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};

export function fieldsOf(schema: JsonObject): Field[] {
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  return Object.entries(object(schema["properties"])).map(([name, value]) => {
    const property = object(value);
    const choices = Array.isArray(property["enum"]) ? property["enum"].map(String) : [];
    return {
      name,
      label: name.replaceAll("_", " "),
      kind: choices.length > 0 ? "choice" : kindOf(property),
      required: required.includes(name),
      help: typeof property["description"] === "string" ? property["description"] : "",
      choices,
      minimum: typeof property["minimum"] === "number" ? property["minimum"] : null,
      maximum: typeof property["maximum"] === "number" ? property["maximum"] : null,
    };
  });
}

function kindOf(property: JsonObject): Field["kind"] {
  switch (property["type"]) {
    case "number":
      return "number";
    case "integer":
      return "integer";
    case "boolean":
      return "switch";
    case "string":
      return "text";
    case "array":
      return object(property["items"])["type"] === "string" ? "list" : "json";
    default:
      return "json";
  }
}

export function entriesOf(fields: readonly Field[], parameters: JsonObject): Entries {
  return Object.fromEntries(fields.map((field) => [field.name, entryOf(field, parameters[field.name])]));
}

function entryOf(field: Field, value: Json | undefined): string {
  if (value === undefined) return "";
  if (field.kind === "list" && Array.isArray(value)) return value.map(String).join("\n");
  return field.kind === "json" ? JSON.stringify(value) : String(value);
}

/** The parameters, or what is wrong in each field. The server checks them again against the whole schema. */
export function readEntries(fields: readonly Field[], entries: Entries): Read {
  const parameters: JsonObject = {};
  const errors: Record<string, string> = {};
  for (const field of fields) {
    const entry = (entries[field.name] ?? "").trim();
    if (entry === "") {
      if (field.required) errors[field.name] = "This is needed.";
      continue;
    }
    const read = readEntry(field, entry);
    if ("error" in read) errors[field.name] = read.error;
    else parameters[field.name] = read.value;
  }
  return Object.keys(errors).length > 0 ? { errors } : { parameters };
}

function readEntry(field: Field, entry: string): { value: Json } | { error: string } {
  switch (field.kind) {
    case "number":
    case "integer":
      return readNumber(field, Number(entry));
    case "switch":
      return { value: entry === "true" };
    case "list":
      return {
        value: entry
          .split("\n")
          .map((line) => line.trim())
          .filter((line) => line !== ""),
      };
    case "json":
      return readJson(entry);
    default:
      return { value: entry };
  }
}

function readNumber({ kind, minimum, maximum }: Field, value: number): { value: Json } | { error: string } {
  if (!Number.isFinite(value)) return { error: "This is not a number." };
  if (kind === "integer" && !Number.isInteger(value)) return { error: "This must be a whole number." };
  if (minimum !== null && value < minimum) return { error: `The least is ${minimum}.` };
  if (maximum !== null && value > maximum) return { error: `The most is ${maximum}.` };
  return { value };
}

function readJson(entry: string): { value: Json } | { error: string } {
  try {
    return { value: JSON.parse(entry) as Json };
  } catch {
    return { error: "This is not valid JSON." };
  }
}
