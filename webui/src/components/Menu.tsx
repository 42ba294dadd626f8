import { useRef, useState, type FocusEvent, type KeyboardEvent, type ReactNode } from "react";
import { Icon, type IconName } from "./Icon";

interface MenuProps {
  icon: IconName;
  label: string;
  /** Whether the words stand beside the icon. */
  words?: boolean;
  children: ReactNode;
}

/** A button that opens a small panel; Escape, or leaving the panel, closes it. */
export function Menu({ icon, label, words = false, children }: MenuProps) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const onKey = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || !open) return;
    event.preventDefault();
    setOpen(false);
    button.current?.focus();
  };
  const onBlur = (event: FocusEvent): void => {
    if (!event.currentTarget.contains(event.relatedTarget)) setOpen(false);
  };
  return (
    <div className="menu" onKeyDown={onKey} onBlur={onBlur}>
      <button
        ref={button}
        type="button"
        className={words ? "quiet-button" : "icon-button"}
        aria-expanded={open}
        aria-label={words ? undefined : label}
        title={words ? undefined : label}
        onClick={() => setOpen(!open)}
      >
        <Icon name={icon} /> {words && label}
      </button>
      {open && (
        <div className="menu-panel" tabIndex={-1}>
          {children}
        </div>
      )}
    </div>
  );
}
