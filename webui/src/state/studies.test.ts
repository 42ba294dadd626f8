import { expect, test } from "vitest";
import { studiesOf } from "./studies";

const dicom = (name: string, folder = ""): File => {
  const file = new File([new Uint8Array(128), "DICM", "rest"], name);
  return Object.defineProperty(file, "webkitRelativePath", { value: folder === "" ? "" : `${folder}/${name}` });
};
const png = (name: string) => Object.defineProperty(new File(["png"], name), "webkitRelativePath", { value: "" });
const listed = async (...files: File[]) =>
  (await studiesOf(files)).map(({ name, files: parts }) => [name, parts.length]);

test("several DICOM files are one study, other files one each", async () => {
  expect(await listed(dicom("1", "knee"), png("a.png"), dicom("2", "knee"), png("b.png"))).toEqual([
    ["knee (2 files)", 2],
    ["a.png", 1],
    ["b.png", 1],
  ]);
});

test("a single DICOM file keeps its name, and files that are no image are left out", async () => {
  expect(await listed(dicom("ct"), png(".DS_Store"), png("DICOMDIR"))).toEqual([["ct", 1]]);
});
