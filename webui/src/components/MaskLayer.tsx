import { useLayoutEffect, useRef } from "react";
import { tint } from "../state/mask";
import { useApp, useAppState, useLoaded } from "../view/context";

/** A mask over the image: a tinted area, as strong as the slider says, in a line that always stays clear. */
export function MaskLayer({ sha256, color }: { sha256: string; color: string }) {
  const { images } = useApp();
  const opacity = useAppState((state) => state.opacity);
  const mask = useLoaded(sha256, images.mask) ?? null;
  const canvas = useRef<HTMLCanvasElement>(null);

  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (mask === null || context == null) return;
    context.putImageData(new ImageData(tint(mask, color), mask.width, mask.height), 0, 0);
  }, [mask, color]);

  if (mask === null) return null;
  return (
    <>
      <canvas ref={canvas} className="mask" width={mask.width} height={mask.height} style={{ opacity }} />
      <svg
        className="outline"
        viewBox={`0 0 ${mask.width} ${mask.height}`}
        preserveAspectRatio="none"
        aria-hidden="true"
      >
        <path d={mask.path} stroke={color} />
      </svg>
    </>
  );
}
