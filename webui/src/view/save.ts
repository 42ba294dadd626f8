/** Gives a file to the person. A plain link could not carry the key. */
export function saveBlob(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The download has begun by then; keeping the address would keep the bytes.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
