/** Keeps SVG marks where they belong on the frame. */

import { useLayoutEffect, type RefObject } from "react";
import { toStage } from "./geometry";
import { onRefresh } from "./painting";
import { placedOf } from "./state";
import { useViewing } from "./viewing";

/** Groups `in-frame` below `root` are drawn in fractions of the frame. Elements with `data-x` and `data-y` keep their size
 * and stand at that position of the frame. Both follow zoom and pan without React.
 */
export function usePlacedMarks(root: RefObject<SVGElement | null>): void {
  const { store } = useViewing();
  // After each render, too: it may have brought new elements or moved old ones.
  useLayoutEffect(() =>
    onRefresh(store, (state) => {
      const placed = placedOf(state);
      const { left, top, width, height } = placed;
      for (const group of root.current?.querySelectorAll(".in-frame") ?? []) {
        group.setAttribute("transform", `translate(${left} ${top}) scale(${width} ${height})`);
      }
      for (const element of root.current?.querySelectorAll<SVGElement>("[data-x]") ?? []) {
        const [x, y] = toStage([Number(element.dataset["x"]), Number(element.dataset["y"])], placed);
        element.setAttribute("transform", `translate(${x} ${y})`);
      }
    }),
  );
}
