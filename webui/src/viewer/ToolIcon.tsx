import { Glyph } from "../components/Icon";

const PATHS = {
  pan: "M12 3v18M3 12h18M12 3 9.5 5.5M12 3l2.5 2.5M12 21l-2.5-2.5M12 21l2.5-2.5M3 12l2.5-2.5M3 12l2.5 2.5M21 12l-2.5-2.5M21 12l-2.5 2.5",
  window: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 4v16M14.5 5v14M17 6.5v11",
  box: "M5 5h14v14H5zM3.5 3.5h3v3h-3zM17.5 17.5h3v3h-3z",
  point: "M12 3v6M12 15v6M3 12h6M15 12h6M12 11.5v1",
  polygon: "M5 9 12 4l7 5-3 10H7z",
  ruler: "M3 16 16 3l5 5L8 21zM7 12l2 2M10 9l2 2M13 6l2 2",
  invert: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  reset: "M5 12a7 7 0 1 0 2-5L4 10M4 5v5h5",
  in: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20 20M8 10.5h5M10.5 8v5",
  out: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20 20M8 10.5h5",
  edit: "M5 19l1-4L16 5l3 3L9 18z",
} as const;

export type ToolIconName = keyof typeof PATHS;

export const ToolIcon = ({ name }: { name: ToolIconName }) => <Glyph path={PATHS[name]} />;
