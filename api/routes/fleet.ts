import { callerOf, TokenCheck } from '../auth.js';
import { expose, type ProcessMetrics } from '../metrics.js';
import * as present from '../present.js';
import { DeadLetter, DeadLetterFilter, Health, listOf, Overview, problems } from '../schemas.js';
import type { GruardService } from '../../core/service.js';
import type { Refusals } from '../limits.js';
import type { ResolvedOptions } from '../options.js';
import type { Api } from './route.js';

/** The fleet and gruard itself at a glance. */
export const fleetRoutes = (api: Api, service: GruardService, options: ResolvedOptions, metrics: ProcessMetrics, refusals: Refusals): void => {
  const tokens = new TokenCheck(options);

  api.get('/v1/overview', {
    config: { scope: 'read' },
    schema: { tags: ['fleet'], summary: 'The fleet at a glance', response: { 200: Overview, ...problems } },
  }, () => present.overview(service.overview(), service.health().status));

  api.get('/v1/health', {
    schema: {
      tags: ['fleet'], summary: 'Whether gruard does its work', description: '200 while it does (`ok`, `degraded`), 503 when it is `failing`. Without a token, where one is needed, only the status is told.',
      security: [{}], response: { 200: Health, 503: Health },
    },
  }, async (request, reply) => {
    const health = present.health(service.health());
    const stranger = tokens.required && !callerOf(request, tokens);
    return reply.code(health.status === 'failing' ? 503 : 200).header('cache-control', 'no-store').send(stranger ? { status: health.status } : health);
  });

  api.get('/v1/deadletters', {
    config: { scope: 'read' },
    schema: { tags: ['fleet'], summary: 'Messages that were refused, the newest first', querystring: DeadLetterFilter, response: { 200: listOf(DeadLetter), ...problems } },
  }, async ({ query }) => ({ items: (await service.deadLetters(query.limit)).map(present.deadLetter), next_cursor: null }));

  api.get('/metrics', {
    config: { scope: 'read' },
    schema: { tags: ['fleet'], summary: 'Prometheus metrics', produces: ['text/plain'], response: { 200: { type: 'string' } } },
  }, async (_request, reply) => reply.type('text/plain; version=0.0.4; charset=utf-8').send(expose([...service.measures(), refusals.measure()]) + (await metrics.text())));
};
