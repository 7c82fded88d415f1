import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { compress } from "./plugins/compress.ts";

// Served by the Python package: relative links, so that it works below any prefix.
export default defineConfig({
  base: "./",
  plugins: [react(), compress()],
  html: { cspNonce: "__NONCE__" },
  build: {
    outDir: "../src/llamactl/page",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: "es2022",
    cssTarget: ["chrome123", "firefox121", "safari17.5"], // those that know light-dark()
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8080", "/swagger": "http://127.0.0.1:8080" } },
});
