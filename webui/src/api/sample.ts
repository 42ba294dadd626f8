import type { Claim } from "./types";

/** For tests: an object of the API with only those fields that the test is about. */

type Some<T> = T extends readonly (infer One)[]
  ? Some<One>[]
  : T extends object
    ? { [Key in keyof T]?: Some<T[Key]> }
    : T;

export const sample = <T>(fields: Some<T>): T => fields as T;

/** For tests: a result's origin, of which only the tool's name is said. */
export const PROVENANCE = {
  tool: "t",
  version: "1.0.0",
  checkpoint_sha256: null,
  preprocessing: "",
  input_sha256: [],
  output_sha256: "",
  seconds: 0,
  label: "",
  parts: [],
};

/** For tests: a supported number from the first call. */
export const claimAt = (start: number, end: number, change: Partial<Claim> = {}): Claim => ({
  start,
  end,
  text: "",
  kind: "number",
  supported: true,
  call_id: "call_1",
  field: null,
  tool: null,
  version: null,
  checkpoint_sha256: null,
  input_sha256: [],
  score: null,
  ...change,
});
