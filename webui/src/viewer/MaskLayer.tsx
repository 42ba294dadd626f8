import { useLayoutEffect, useRef } from "react";
import { tint } from "../state/mask";
import { useApp, useAppState, useLoaded } from "../view/context";

interface MaskLayerProps {
  sha256: string;
  color: string;
  /** 0 to 1, on top of the opacity that is chosen for all masks. */
  strength: number;
}

/** A mask over the image as a tinted area. */
export function MaskLayer({ sha256, color, strength }: MaskLayerProps) {
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
    <canvas
      ref={canvas}
      className="mask"
      width={mask.width}
      height={mask.height}
      style={{ opacity: opacity * strength }}
    />
  );
}
