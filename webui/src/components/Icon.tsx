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
  pulse: "M3 13h4l3-8 4 14 3-6h4",
} as const;

export type IconName = keyof typeof PATHS;

/** Decoration only: the control around it carries the words. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
