import { useRef } from "react";
import { useApp } from "../view/context";
import { Icon, type IconName } from "./Icon";

/** No `accept`: DICOM files often have no ending, and the server decides by the bytes. */
export function AttachButtons() {
  return (
    <>
      <PickButton icon="clip" label="Attach images" />
      <PickButton icon="folder" label="Attach a folder, for example a DICOM series" folder />
    </>
  );
}

function PickButton({ icon, label, folder = false }: { icon: IconName; label: string; folder?: boolean }) {
  const { actions } = useApp();
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button
        type="button"
        className="icon-button"
        aria-label={label}
        title={label}
        onClick={() => input.current?.click()}
      >
        <Icon name={icon} />
      </button>
      <input
        ref={input}
        type="file"
        hidden
        multiple
        webkitdirectory={folder ? "" : undefined}
        aria-label={folder ? "Folder" : "Image files"}
        onChange={(event) => {
          const files = [...(event.target.files ?? [])];
          if (files.length > 0) void actions.attach(files);
          event.target.value = "";
        }}
      />
    </>
  );
}

declare module "react" {
  interface InputHTMLAttributes<T> {
    /** Lets a person pick a folder; not yet in React's own types. */
    webkitdirectory?: T extends HTMLInputElement ? string | undefined : never;
  }
}
