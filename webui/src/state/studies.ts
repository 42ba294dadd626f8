/** Files that are sent together. */

export interface Study {
  name: string;
  files: readonly File[];
}

export const MAX_FILES = 2_000;

/** Several DICOM files are one study; every other file is one of its own. */
export async function studiesOf(files: readonly File[]): Promise<Study[]> {
  const visible = files.filter((file) => !file.name.startsWith(".") && file.name !== "DICOMDIR").slice(0, MAX_FILES);
  const dicom = await Promise.all(visible.map(isDicom));
  const series = visible.filter((_, index) => dicom[index]);
  const single = visible.filter((_, index) => !dicom[index]).map((file) => ({ name: file.name, files: [file] }));
  if (series.length === 0) return single;
  const [first] = series as [File];
  return [{ name: series.length === 1 ? first.name : nameOf(first, series.length), files: series }, ...single];
}

/** By the four letters after the preamble (DICOM PS3.10), not by the name: many files have no ending. */
export async function isDicom(file: File): Promise<boolean> {
  return (await file.slice(128, 132).text()) === "DICM";
}

/** A folder's name where there is one. */
function nameOf(file: File, count: number): string {
  const folder = file.webkitRelativePath.split("/").at(-2);
  return `${folder ?? file.name} (${count} files)`;
}
