import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const CONTROLLER = "http://127.0.0.1:8000";

// Relative addresses let the page live under any path. Nothing is inlined: the content security policy
// of the server allows files of its own only.
export default defineConfig({
  base: "./",
  plugins: [react()],
  build: { assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/v1": { target: CONTROLLER, changeOrigin: true } } },
});
