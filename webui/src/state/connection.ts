/** Getting to know the server: models, tools, workers, conversations. */

import { ApiError } from "../api/http";
import { report, type ActionContext } from "./context";

export function connectionActions(context: ActionContext) {
  const { store, client, keys } = context;

  async function connect(): Promise<void> {
    store.set({ connection: "loading", notice: null });
    try {
      const [models, tools, workers, conversations] = await Promise.all([
        client.models(),
        client.tools(),
        client.workers(),
        client.conversations(),
      ]);
      const model = models[0];
      if (model === undefined) throw new ApiError("No model is ready yet. Try again in a moment.", 503);
      const cards = Object.fromEntries(tools.map((card) => [card.name, card]));
      store.set({ connection: "ready", model: model.id, tools: cards, workers, conversations });
    } catch (error) {
      store.set({ connection: "offline" });
      report(context, error);
    }
  }

  /** What changes while the page is open. */
  async function refresh(): Promise<void> {
    try {
      const [tools, workers, conversations] = await Promise.all([
        client.tools(),
        client.workers(),
        client.conversations(),
      ]);
      const cards = Object.fromEntries(tools.map((card) => [card.name, card]));
      // A tool that has left keeps its card: its earlier results still carry its title.
      store.set((state) => ({ tools: { ...state.tools, ...cards }, workers, conversations }));
    } catch (error) {
      report(context, error);
    }
  }

  function useKey(key: string): Promise<void> {
    keys.set(key);
    return connect();
  }

  return { connect, refresh, useKey };
}
