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
import { createStudies } from "./viewer/api";
import "./styles/base.css";
import "./styles/page.css";
import "./styles/chat.css";
import "./styles/results.css";
import "./styles/viewer.css";

const keys = sessionKeys(window.sessionStorage);
const request = createRequest(keys);
const client = createClient(request);
const store = createAppStore();
const actions = createActions({ store, client, keys });
const app = { store, actions, images: createImages(client), studies: createStudies(request) };

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
