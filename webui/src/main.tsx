import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createClient } from "./api/client";
import { createRequest, sessionKeys } from "./api/http";
import { Page } from "./components/Page";
import { createActions } from "./state/actions";
import { createAppStore } from "./state/app";
import { followAddress } from "./state/route";
import { AppContext } from "./view/context";
import { createImages } from "./view/images";
import "./styles/base.css";
import "./styles/page.css";
import "./styles/chat.css";
import "./styles/results.css";
import "./styles/viewer.css";

const keys = sessionKeys(window.sessionStorage);
const client = createClient(createRequest(keys));
const store = createAppStore();
const actions = createActions({ store, client, keys });
const app = { store, actions, images: createImages(client) };

const root = document.getElementById("root");
if (root === null) throw new Error("The page has no root element.");
createRoot(root).render(
  <StrictMode>
    <AppContext value={app}>
      <Page />
    </AppContext>
  </StrictMode>,
);

followAddress(store, actions);
await actions.connect();
