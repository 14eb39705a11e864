import { GruardError } from '../../core/errors.js';
import { rangeOf } from '../limits.js';
import * as present from '../present.js';
import { AnomalyEvent, EventFilter, EventRef, Feedback, listOf, problems } from '../schemas.js';
import type { Routes } from './route.js';

const tags = ['anomalies'];

export const anomaliesRoutes: Routes = (api, service, options) => {
  api.get('/v1/anomalies', {
    config: { scope: 'read' },
    schema: { tags, summary: 'List anomaly events, the newest first', querystring: EventFilter, response: { 200: listOf(AnomalyEvent), ...problems } },
  }, async ({ query }) => {
    const { device, metric, severity, state, limit, cursor } = query;
    const { startMs, endMs } = rangeOf(query, options);
    return present.page(await service.results.queryEvents({ device, metric, startMs, endMs, severity, state, limit, cursor }), present.anomaly);
  });

  api.get('/v1/anomalies/:id', {
    config: { scope: 'read' },
    schema: { tags, summary: 'An anomaly event', params: EventRef, response: { 200: AnomalyEvent, ...problems } },
  }, async ({ params }) => {
    const event = await service.results.getEvent(params.id);
    if (!event) throw new GruardError('NOT_FOUND', `There is no anomaly event ${JSON.stringify(params.id)}.`);
    return present.anomaly(event);
  });

  api.post('/v1/anomalies/:id/feedback', {
    config: { scope: 'write', audit: true },
    schema: {
      tags, summary: 'Tell the detector what an event was', description: 'Changes what the detector does next, so it is answered once it is durable.',
      params: EventRef, body: Feedback, response: { 200: AnomalyEvent, ...problems },
    },
  }, async (request) => present.anomaly(await service.feedback(request.params.id, request.body.verdict, request.caller)));
};
