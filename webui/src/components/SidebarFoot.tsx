import { nextTheme } from "../state/preferences";
import { useApp, useAppState } from "../view/context";
import { Icon } from "./Icon";

/** Who is there to work, who is asking, and how the page looks. */
export function SidebarFoot({ onOpen }: { onOpen: () => void }) {
  const { actions } = useApp();
  const theme = useAppState((state) => state.preferences.theme);
  const me = useAppState((state) => state.me);
  return (
    <div className="sidebar-foot">
      <WorkersLink onOpen={onOpen} />
      <div className="foot-row">
        {me?.keys_required === true ? (
          <>
            <span className="owner" title={`Key: ${me.name}`}>
              {me.owner}
            </span>
            <button
              type="button"
              className="icon-button"
              aria-label="Sign out"
              title="Sign out"
              onClick={actions.signOut}
            >
              <Icon name="leave" />
            </button>
          </>
        ) : (
          <span className="owner">No sign-in on this server</span>
        )}
        <button
          type="button"
          className="icon-button"
          aria-label={`Colours: ${theme}. Change to ${nextTheme(theme)}`}
          title={`Colours: ${theme}`}
          onClick={() => actions.prefer({ theme: nextTheme(theme) })}
        >
          <Icon name={theme} />
        </button>
      </div>
    </div>
  );
}

function WorkersLink({ onOpen }: { onOpen: () => void }) {
  const { actions } = useApp();
  const workers = useAppState((state) => state.workers);
  const open = useAppState((state) => state.page === "workers");
  const tools = workers.filter((worker) => worker.kind === "tool");
  const ready = tools.filter((worker) => worker.state === "ready").length;
  return (
    <a
      className="workers-link"
      href="#/workers"
      aria-current={open ? "page" : undefined}
      onClick={(event) => {
        event.preventDefault();
        actions.showPage("workers");
        onOpen();
      }}
    >
      <Icon name="server" /> Workers
      <span className="workers-count">
        <span className={ready === tools.length ? "dot ready" : "dot suspect"} />
        {ready} of {tools.length} ready
      </span>
    </a>
  );
}
