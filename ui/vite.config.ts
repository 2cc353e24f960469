import { existsSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { svelte } from '@sveltejs/vite-plugin-svelte';
import sirv from 'sirv';
import type { Connect, Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const WASM = here('./src/worker/wasm');
const MODELS = here('../models');

/** What every server of this page sends: isolation, and the policy under which the page has to work. */
const ISOLATION = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
const POLICY = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self' ipc: http://ipc.localhost ws:",
  "worker-src 'self' blob:",
  "object-src 'none'",
  "base-uri 'none'",
].join('; ');

/** Serves the models with ranges, as `hearth serve` does, and says where the engine's wasm comes from. */
function engineAndModels(): Plugin {
  const files = sirv(MODELS, { dev: true, etag: true });
  // Without a `next` a missing file is a 404; otherwise Vite would answer for it with the page.
  const models: Connect.SimpleHandleFunction = (request, response) => {
    files(request, response);
  };
  return {
    name: 'hearth-engine-and-models',
    buildStart() {
      if (this.meta.watchMode || existsSync(`${WASM}/hearth_engine_bg.wasm`)) return;
      this.error('The engine is not built for the web: ui/src/worker/wasm is empty. Run `./hearth build wasm` first.');
    },
    configureServer(server) {
      server.middlewares.use('/models', models);
      // The engine's socket is not here: refuse at once, so that the page need not wait to find out.
      server.httpServer?.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
        if (request.url?.startsWith('/v1/') === true && process.env.HEARTH_SERVE === undefined) socket.destroy();
      });
    },
    configurePreviewServer(server) {
      server.middlewares.use('/models', models);
    },
  };
}

/** With HEARTH_SERVE=http://127.0.0.1:8080 the page in development speaks to a running `hearth serve`. */
const served = process.env.HEARTH_SERVE;

export default defineConfig(({ mode }) => ({
  plugins: [svelte(), ...(mode === 'test' ? [] : [engineAndModels()])],
  // Relative addresses: the same files are served by Tauri, by `hearth serve` and from any folder.
  base: './',
  clearScreen: false,
  resolve: {
    alias: { 'hearth-engine-wasm': WASM },
    ...(mode === 'test' ? { conditions: ['browser'] } : {}),
  },
  server: {
    host: '127.0.0.1',
    port: 1420,
    strictPort: true,
    headers: ISOLATION,
    // `hearth serve` answers its own pages only, so the proxy speaks in its name.
    ...(served === undefined
      ? {}
      : { proxy: { '/v1': { target: served, ws: true, changeOrigin: true, headers: { origin: served } } } }),
  },
  preview: {
    host: '127.0.0.1',
    port: 1421,
    strictPort: true,
    headers: { ...ISOLATION, 'Content-Security-Policy': POLICY },
  },
  worker: { format: 'es' },
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
}));
