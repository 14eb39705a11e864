import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { Routes } from './route.js';

/** The page that Vite built. Its asset names carry hashes and may be kept for ever; index.html names them and may not. */
export const pageRoutes: Routes = (api, _service, options) => {
  if (!existsSync(join(options.pageDir, 'index.html'))) {
    api.get('/', { schema: { hide: true } }, (_request, reply) => reply.type('text/plain').send('The page is not built: run `npm run build`. The API is at /v1, its documentation at /docs.\n'));
    return;
  }
  api.register(fastifyStatic, {
    root: options.pageDir,
    cacheControl: false,
    setHeaders: (reply, path) => {
      reply.header('cache-control', path.includes('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
    schemaHide: true,
  });
};
