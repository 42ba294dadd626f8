/** Getting to know the server: who is asking, models, tools, workers, conversations. */

import { ApiError } from "../api/http";
import type { ToolCard } from "../api/types";
import { report, type ActionContext } from "./context";

export function connectionActions(context: ActionContext) {
  const { store, client, keys } = context;

  async function connect(): Promise<void> {
    store.set({ connection: "loading", notice: null });
    try {
      // Alone and first, so that a missing key is refused once and not five times.
      const me = await client.me();
      const [models, tools, workers, conversations] = await Promise.all([
        client.models(),
        client.tools(),
        client.workers(),
        client.conversations(),
      ]);
      const model = models[0];
      if (model === undefined) throw new ApiError("No model is ready yet. Try again in a moment.", 503);
      store.set({ connection: "ready", me, model: model.id, tools: byName(tools), workers, conversations });
    } catch (error) {
      store.set({ connection: "offline" });
      report(context, error);
    }
  }

  /** What changes while the page is open. */
  async function refresh(): Promise<void> {
    try {
      const { query } = store.get();
      const [tools, workers, conversations] = await Promise.all([
        client.tools(),
        client.workers(),
        client.conversations(query.trim()),
      ]);
      // A tool that has left keeps its card: its earlier results still carry its title.
      store.set((state) => ({
        tools: { ...state.tools, ...byName(tools) },
        workers,
        conversations: state.query === query ? conversations : state.conversations,
      }));
    } catch (error) {
      report(context, error);
    }
  }

  function useKey(key: string): Promise<void> {
    keys.set(key);
    return connect();
  }

  /** Nothing of the last owner stays on the page: it starts anew and asks for a key. */
  function signOut(): void {
    keys.set(null);
    window.location.replace(window.location.pathname);
  }

  return { connect, refresh, useKey, signOut };
}

const byName = (tools: readonly ToolCard[]): Record<string, ToolCard> =>
  Object.fromEntries(tools.map((card) => [card.name, card]));
