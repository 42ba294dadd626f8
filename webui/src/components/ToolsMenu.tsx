import { useApp, useAppState } from "../view/context";
import { Menu } from "./Menu";

/** Which tools the next turns may use. */
export function ToolsMenu() {
  const { actions } = useApp();
  const tools = useAppState((state) => state.tools);
  const disabled = useAppState((state) => state.disabledTools);
  const cards = Object.values(tools);
  if (cards.length === 0) return null;
  const used = cards.filter((card) => !disabled.has(card.name)).length;
  return (
    <Menu icon="tools" label={used === cards.length ? "Tools" : `${used} of ${cards.length} tools`} words>
      <h3>Tools that may be used</h3>
      {cards.map((card) => (
        <label key={card.name} className="tool-toggle" title={card.description}>
          <input type="checkbox" checked={!disabled.has(card.name)} onChange={() => actions.toggleTool(card.name)} />
          {card.title}
        </label>
      ))}
    </Menu>
  );
}
