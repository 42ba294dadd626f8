import { useLayoutEffect, useRef } from "react";
import { tint } from "../state/mask";
import { opacityOf, type Overlay } from "../state/overlays";
import { useApp, useAppState, useLoaded } from "../view/context";

interface MaskLayerProps {
  overlay: Overlay;
  /** 0 to 1, on top of the opacity that is chosen for the overlay. */
  strength: number;
}

/** A mask over the image as a tinted area. */
export function MaskLayer({ overlay, strength }: MaskLayerProps) {
  const { images } = useApp();
  const { color } = overlay;
  const opacity = useAppState((state) => opacityOf(state, overlay));
  const mask = useLoaded(overlay.mask, images.mask) ?? null;
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
