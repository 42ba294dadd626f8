import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createClient } from "./api/client";
import { createRequest, createUpload, sessionKeys } from "./api/http";
import { Page } from "./components/Page";
import { createActions } from "./state/actions";
import { createAppStore } from "./state/app";
import { loadPreferences } from "./state/preferences";
import { followAddress } from "./state/route";
import { AppContext } from "./view/context";
import { createImages } from "./view/images";
import { saveBlob } from "./view/save";
import { followTheme } from "./view/theme";
import { createStudies } from "./viewer/api";
import "./styles/base.css";
import "./styles/page.css";
import "./styles/sidebar.css";
import "./styles/chat.css";
import "./styles/composer.css";
import "./styles/results.css";
import "./styles/report.css";
import "./styles/workers.css";
import "./styles/viewer.css";

const storage = window.localStorage;
const keys = sessionKeys(window.sessionStorage);
const request = createRequest(keys);
const client = createClient(request, createUpload(keys));
const store = createAppStore(loadPreferences(storage));
const actions = createActions({ store, client, keys, storage, save: saveBlob });
const app = { store, actions, images: createImages(client), studies: createStudies(request) };

followTheme(store);
const root = document.getElementById("root");
if (root === null) throw new Error("The page has no root element.");
createRoot(root).render(
  <StrictMode>
    <AppContext value={app}>
      <Page />
    </AppContext>
  </StrictMode>,
);

followAddress(store, actions, window);
await actions.connect();
