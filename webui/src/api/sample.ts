/** For tests: an object of the API with only those fields that the test is about. */

type Some<T> = T extends readonly (infer One)[]
  ? Some<One>[]
  : T extends object
    ? { [Key in keyof T]?: Some<T[Key]> }
    : T;

export const sample = <T>(fields: Some<T>): T => fields as T;
