import * as present from '../present.js';
import { HealthVerdict, listOf, problems, VerdictFilter } from '../schemas.js';
import type { Routes } from './route.js';

export const verdictsRoutes: Routes = (api, service) => {
  api.get('/v1/verdicts', {
    config: { scope: 'read' },
    schema: {
      tags: ['devices'], summary: 'List health verdicts: what is wrong with devices as devices (silent, stuck, flapping, clock_skewed, impossible)',
      querystring: VerdictFilter, response: { 200: listOf(HealthVerdict), ...problems },
    },
  }, async ({ query }) => present.page(await service.results.queryVerdicts(query), present.verdict));
};
