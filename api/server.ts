import type { Server as TlsServer } from 'node:tls';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import { GruardError, messageOf } from '../core/errors.js';
import type { GruardService } from '../core/service.js';
import { Refusals } from './limits.js';
import { authorize, guardBrowsers, TokenCheck } from './auth.js';
import { clientOf } from './client-address.js';
import { limitConnections } from './connections.js';
import { resolveOptions, type ApiOptions, type ResolvedOptions } from './options.js';
import { endWithProblem, problemOf, sendProblem } from './problem.js';
import { ProcessMetrics } from './metrics.js';
import { anomaliesRoutes } from './routes/anomalies.js';
import { devicesRoutes } from './routes/devices.js';
import { exportRoutes } from './routes/export.js';
import { fleetRoutes } from './routes/fleet.js';
import { pageRoutes } from './routes/page.js';
import { readingsRoutes } from './routes/readings.js';
import type { Routes } from './routes/route.js';
import { streamRoutes } from './routes/stream.js';
import { verdictsRoutes } from './routes/verdicts.js';

export { hashToken } from './auth.js';
export type { ApiOptions, ApiToken, Scope } from './options.js';

/** Nothing from elsewhere, nothing inline, not within a frame. */
const PAGE_POLICY = {
  'default-src': ["'none'"], 'script-src': ["'self'"], 'style-src': ["'self'"], 'img-src': ["'self'", 'data:'], 'font-src': ["'self'"],
  'connect-src': ["'self'"], 'manifest-src': ["'self'"], 'base-uri': ["'none'"], 'form-action': ["'none'"], 'frame-ancestors': ["'none'"],
};

/** The API and the page over a running gruard; not yet listening. */
export function buildServer(service: GruardService, given: ApiOptions): FastifyInstance {
  const options = resolveOptions(given);
  const refusals = new Refusals();
  const server = createServer(options, refusals);
  const tokens = new TokenCheck(options);
  const metrics = new ProcessMetrics();

  server.setErrorHandler((error, request, reply) => {
    refusals.count(problemOf(error).code);
    if (problemOf(error).status === 500) options.onError?.(error, { method: request.method, url: request.url });
    return sendProblem(error, request, reply);
  });
  server.decorateRequest('caller', 'local');
  server.addHook('onRequest', (request, reply, done) => {
    // Already gone, and with it the address that the rate limit goes by: nobody is there to be answered.
    if (request.raw.socket.remoteAddress === undefined) {
      reply.hijack();
      request.raw.destroy();
      return;
    }
    guardBrowsers(request, options);
    done();
  });
  server.addHook('onResponse', (request, reply, done) => {
    if (request.routeOptions.config.audit) options.onAudit?.({ by: request.caller, method: request.method, url: request.url, status: reply.statusCode });
    // A stream lasts as long as somebody listens.
    if (request.routeOptions.url !== '/v1/stream') metrics.observe(request.method, request.routeOptions.url ?? 'unknown', reply.statusCode, reply.elapsedTime / 1000);
    done();
  });
  // After the rate limit (a route's own onRequest hook), before a byte of the body is read.
  server.addHook('preParsing', (request, _reply, payload, done) => {
    authorize(request, tokens);
    done(null, payload);
  });

  server.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: PAGE_POLICY },
    strictTransportSecurity: options.tls ? { maxAge: 31_536_000, includeSubDomains: false } : false,
    referrerPolicy: { policy: 'no-referrer' },
  });
  server.register(rateLimit, {
    max: options.requestsPerSecond,
    timeWindow: 1000,
    keyGenerator: (request) => clientOf(request.ip),
    addHeaders: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    addHeadersOnExceeding: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
    errorResponseBuilder: (_request, context) => new GruardError('RATE_LIMITED', `More than ${context.max} requests a second from this address.`),
  });
  server.after(() => {
    server.setNotFoundHandler({ preHandler: server.rateLimit() }, (request, reply) => {
      refusals.count('NOT_FOUND');
      return sendProblem(new GruardError('NOT_FOUND', `There is nothing at ${request.method} ${request.url.split('?')[0]}.`), request, reply);
    });
  });
  // Before a handler sees it; a client that asks for more gets a page of what there may be, and a cursor for the rest.
  server.addHook('preHandler', (request, _reply, done) => {
    const query = request.query as { limit?: number };
    if (typeof query.limit === 'number') query.limit = Math.min(query.limit, options.pageItems);
    done();
  });
  registerDocs(server, tokens.required);
  for (const routes of [readingsRoutes, devicesRoutes, anomaliesRoutes, verdictsRoutes, streamRoutes, exportRoutes, pageRoutes]) registerScope(server, routes, service, options);
  server.register(async (api) => fleetRoutes(api.withTypeProvider<TypeBoxTypeProvider>(), service, options, metrics, refusals));
  return server;
}

/** Listens; resolves to the port. Throws PORT_TAKEN. */
export async function listen(server: FastifyInstance, options: Pick<ApiOptions, 'host' | 'port'>): Promise<{ port: number }> {
  try {
    await server.listen({ host: options.host, port: options.port });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') throw new GruardError('PORT_TAKEN', `api.port (GRUARD_API_PORT): ${options.host}:${options.port} is in use`, { cause });
    if (code === 'EACCES') throw new GruardError('PORT_TAKEN', `api.port (GRUARD_API_PORT): this user may not listen on ${options.host}:${options.port}`, { cause });
    if (code === 'EADDRNOTAVAIL') throw new GruardError('CONFIG_INVALID', `api.host (GRUARD_API_HOST): ${options.host} is not an address of this machine`, { cause });
    throw new GruardError('INTERNAL', `the API cannot listen: ${messageOf(cause)}`, { cause });
  }
  return { port: (server.server.address() as { port: number }).port };
}

function createServer(options: ResolvedOptions, refusals: Refusals): FastifyInstance {
  const settings: FastifyServerOptions = {
    bodyLimit: options.payloadBytes,
    requestTimeout: options.requestTimeoutMs,
    connectionTimeout: options.idleMs,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 4096 },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allErrors: false } },
    // A path that is not valid percent-encoding never reaches a route.
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply),
    clientErrorHandler: (error, socket) => {
      const code = endWithProblem(error, socket);
      if (code !== undefined) refusals.count(code);
    },
  };
  const http = { maxHeaderSize: 16_384, headersTimeout: Math.min(10_000, options.requestTimeoutMs), connectionsCheckingInterval: 2000 };
  // One type for both: what differs between an http and an https server is below the routes.
  const server = Fastify({ ...settings, ...(options.tls ? { https: { cert: options.tls.cert, key: options.tls.key, ...http } } : { http }) } as FastifyServerOptions);
  limitConnections(server.server, options, refusals);
  const unwatch = options.tls?.watch?.((pair) => (server.server as unknown as TlsServer).setSecureContext(pair), (thrown) => options.onTlsError?.(thrown));
  if (unwatch) server.addHook('onClose', async () => unwatch());
  return server;
}

function registerScope(server: FastifyInstance, routes: Routes, service: GruardService, options: ResolvedOptions): void {
  server.register(async (api) => routes(api.withTypeProvider<TypeBoxTypeProvider>(), service, options));
}

function registerDocs(server: FastifyInstance, secured: boolean): void {
  server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'gruard', version: '1', description: 'Streaming anomaly detection for fleets of sensors. Times are RFC 3339 in answers, RFC 3339 or epoch ms in questions. Errors are RFC 9457 problem details with a stable `code`.' },
      tags: [{ name: 'readings' }, { name: 'devices' }, { name: 'anomalies' }, { name: 'fleet' }],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      ...(secured && { security: [{ token: [] }] }),
    },
  });
  server.register(swaggerUi, {
    routePrefix: '/docs',
    theme: { title: 'gruard API', css: [{ filename: 'gruard.css', content: '.swagger-ui .topbar { display: none; }' }] },
    uiConfig: { docExpansion: 'list', deepLinking: true },
    staticCSP: { 'default-src': "'none'", 'script-src': "'self'", 'style-src': "'self' 'unsafe-inline'", 'img-src': "'self' data:", 'font-src': "'self'", 'connect-src': "'self'", 'base-uri': "'none'", 'frame-ancestors': "'none'" },
  });
}
