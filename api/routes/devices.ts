import { GruardError } from '../../core/errors.js';
import { rangeOf } from '../limits.js';
import * as present from '../present.js';
import { Device, DeviceDetail, DeviceFilter, DeviceRef, DeviceRefQuery, listOf, Point, problems, SeriesFilter, SeriesRef } from '../schemas.js';
import { noSuchDevice, type Routes } from './route.js';

const TAG = 'tag.';
const tags = ['devices'];

export const devicesRoutes: Routes = (api, service, options) => {
  api.get('/v1/devices', {
    config: { scope: 'read' },
    schema: { tags, summary: 'List devices', description: '`tag.NAME=VALUE` keeps the devices that carry the tag.', querystring: DeviceFilter, response: { 200: listOf(Device), ...problems } },
  }, ({ query }) => {
    const { limit, cursor, search, status, ...rest } = query;
    const wanted = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name.slice(TAG.length), value]));
    return present.page(service.devices({ limit, cursor, search, status, tags: Object.keys(wanted).length > 0 ? wanted : undefined }), present.device);
  });

  api.get('/v1/devices/:id', {
    config: { scope: 'read' },
    schema: { tags, summary: 'A device with its series, open anomaly events and health verdicts', params: DeviceRef, querystring: DeviceRefQuery, response: { 200: DeviceDetail, ...problems } },
  }, ({ params, query }) => {
    const name = query.name ?? params.id;
    const device = service.device(name);
    if (!device) throw noSuchDevice(name);
    return present.deviceDetail(device);
  });

  api.delete('/v1/devices/:id', {
    config: { scope: 'admin', audit: true },
    schema: {
      tags, summary: 'Retire a device', description: 'Frees its state; its history stays until retention. A reading that comes later makes it a new device.',
      params: DeviceRef, querystring: DeviceRefQuery, response: { 204: { description: 'Retired', type: 'null' }, ...problems },
    },
  }, async ({ params, query }, reply) => {
    const name = query.name ?? params.id;
    if (!(await service.retire(name))) throw noSuchDevice(name);
    return reply.code(204).send(null);
  });

  api.get('/v1/devices/:id/series/:metric', {
    config: { scope: 'read' },
    schema: {
      tags, summary: 'Readings of a series, with what was expected', description: 'Oldest first. Without start, end and cursor: the newest `limit` readings. The metric `*` is the device as a whole.',
      params: SeriesRef, querystring: SeriesFilter, response: { 200: listOf(Point), ...problems },
    },
  }, async ({ params, query }) => {
    const { limit, cursor, order } = query;
    const { startMs, endMs } = rangeOf(query, options);
    const device = query.name ?? params.id;
    const metric = query.metric ?? params.metric;
    const descending = order === undefined ? undefined : order === 'desc';
    const found = await service.results.querySeries({ device, metric, startMs, endMs, limit, cursor, descending });
    if (found.items.length === 0 && cursor === undefined) refuseUnknown(device, metric);
    return present.page(found, present.point);
  });

  /** An empty range is an answer; a series that nobody has is not. A retired device's history may still be there, so the store is asked first. */
  function refuseUnknown(device: string, metric: string): void {
    const known = service.device(device);
    if (!known) throw noSuchDevice(device);
    if (metric !== '*' && !known.metrics.includes(metric)) throw new GruardError('NOT_FOUND', `Device ${JSON.stringify(device)} has no metric ${JSON.stringify(metric)}.`);
  }
};
