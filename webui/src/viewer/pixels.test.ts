import { expect, test } from "vitest";
import { dragWindow, grayTable, paint, readPixels, valuesAt, type FramePixels } from "./pixels";

const HU = { slope: 1, intercept: -1024 };
const AS_IS = { slope: 1, intercept: 0 };

const shown = (frame: FramePixels, table: Uint8ClampedArray): number[] => {
  const rgba = new Uint32Array(frame.width * frame.height);
  paint(frame, table, rgba);
  return [...new Uint8Array(rgba.buffer)];
};

const grays = (frame: FramePixels, table: Uint8ClampedArray): number[] =>
  shown(frame, table).filter((_, index) => index % 4 === 0);

test("a CT frame is shown under its window, in Hounsfield units", () => {
  const stored = Uint16Array.of(0, 1024 + 40 - 200, 1024 + 40, 1024 + 40 + 200, 4095);
  const frame = readPixels(stored.buffer, { width: 5, height: 1, samples: 1, dtype: "uint16" });
  const table = grayTable(frame, HU, { center: 40, width: 400 }, false);
  expect(grays(frame, table)).toEqual([0, 0, 128, 255, 255]);
  expect(grays(frame, grayTable(frame, HU, { center: 40, width: 400 }, true))).toEqual([255, 255, 128, 0, 0]);
  expect(shown(frame, table).slice(8, 12)).toEqual([128, 128, 128, 255]);
  expect(valuesAt(frame, 2, 0, HU)).toEqual([40]);
});

test("signed values and values in equal steps are looked up where they belong", () => {
  const signed = readPixels(Int16Array.of(-300, 0, 300, -300).buffer, {
    width: 2,
    height: 2,
    samples: 1,
    dtype: "int16",
  });
  expect(grays(signed, grayTable(signed, AS_IS, { center: 0, width: 600 }, false))).toEqual([0, 128, 255, 0]);
  expect(valuesAt(signed, 1, 1, AS_IS)).toEqual([-300]);
});

test("broken numbers keep their exact value and are shown within a level", () => {
  const values = Float32Array.of(-0.25, 0, 0.125, 0.75);
  const frame = readPixels(values.buffer, { width: 4, height: 1, samples: 1, dtype: "float32" });
  expect(grays(frame, grayTable(frame, AS_IS, { center: 0.25, width: 1 }, false))).toEqual([0, 64, 96, 255]);
  expect(valuesAt(frame, 2, 0, AS_IS)).toEqual([0.125]);
});

test("8-bit gray and colour are shown as they are when no window is named", () => {
  const plain = { center: 127.5, width: 255 };
  const every = Uint8Array.from({ length: 256 }, (_, value) => value);
  const gray = readPixels(every.buffer, { width: 16, height: 16, samples: 1, dtype: "uint8" });
  expect(grays(gray, grayTable(gray, AS_IS, plain, false))).toEqual([...every]);
  const color = readPixels(Uint8Array.of(10, 20, 30, 200, 0, 255).buffer, {
    width: 2,
    height: 1,
    samples: 3,
    dtype: "uint8",
  });
  expect(shown(color, grayTable(color, AS_IS, plain, false))).toEqual([10, 20, 30, 255, 200, 0, 255, 255]);
  expect(valuesAt(color, 1, 0, AS_IS)).toEqual([200, 0, 255]);
});

test("a flat frame and a window of no width are shown, and a wrong size is refused", () => {
  const flat = readPixels(Uint8Array.of(7, 7).buffer, { width: 2, height: 1, samples: 1, dtype: "uint8" });
  expect(grays(flat, grayTable(flat, AS_IS, { center: 6, width: 0 }, false))).toEqual([255, 255]);
  const layout = { width: 3, height: 1, samples: 1, dtype: "uint8" } as const;
  expect(() => readPixels(new ArrayBuffer(2), layout)).toThrow(RangeError);
});

test("a drag changes width and centre in proportion to the window, and never turns it over", () => {
  expect(dragWindow({ center: 40, width: 500 }, 100, -50)).toEqual({ center: -60, width: 700 });
  expect(dragWindow({ center: 40, width: 500 }, -9999, 0).width).toBeGreaterThan(0);
});
