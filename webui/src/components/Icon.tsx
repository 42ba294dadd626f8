const PATHS = {
  plus: "M12 5v14M5 12h14",
  trash: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  clip: "M20 11.5 12 19.4a5 5 0 0 1-7-7.1l8.2-8.1a3.4 3.4 0 0 1 4.8 4.8l-8.1 8a1.7 1.7 0 0 1-2.4-2.4L15 7.2",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7z",
  close: "M6 6l12 12M18 6 6 18",
  menu: "M4 7h16M4 12h16M4 17h16",
  box: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4",
  eye: "M3 12s3.5-6 9-6 9 6 9 6-3.5 6-9 6-9-6-9-6zM12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.5 4.5",
  pencil: "M4 20l1-4L16.5 4.5l3 3L8 19l-4 1z",
  again: "M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  panel: "M4 5h16v14H4zM9.5 5v14",
  folder: "M3 7h6l2 2h10v10H3z",
  tools: "M5 8h9M18 8h1M5 16h1M10 16h9M16 6v4M8 14v4",
  report: "M6 3h9l4 4v14H6zM9 9h6M9 13h7M9 17h5",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l3 2",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  check: "M5 13l4.5 4.5L19 7",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  leave: "M10 5H5v14h5M14 8l4 4-4 4M8 12h10",
  server: "M4 5h16v5H4zM4 14h16v5H4zM7.5 7.5h.01M7.5 16.5h.01",
  auto: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  light:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M19 5l-1.4 1.4M6.4 17.6 5 19",
  dark: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z",
  pulse: "M3 13h4l3-8 4 14 3-6h4",
} as const;

export type IconName = keyof typeof PATHS;

export const Icon = ({ name }: { name: IconName }) => <Glyph path={PATHS[name]} />;

/** Decoration only: the control around it carries the words. */
export function Glyph({ path }: { path: string }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}
