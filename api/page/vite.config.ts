import { defineConfig } from 'vite';

/** Everything in files of this origin, named relative to the page, so that it works under any path and a strict content policy. */
export default defineConfig({
  base: './',
  build: { outDir: '../../dist/page', emptyOutDir: true, modulePreload: { polyfill: false }, assetsInlineLimit: 0, target: 'es2022' },
  server: { proxy: { '/v1': 'http://127.0.0.1:8490', '/docs': 'http://127.0.0.1:8490' } },
});
