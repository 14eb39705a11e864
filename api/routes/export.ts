import type { Readable } from 'node:stream';
import Type from 'typebox';
import { rangeOf } from '../limits.js';
import { ExportFilter, problems } from '../schemas.js';
import type { Routes } from './route.js';

const TYPE = { csv: 'text/csv; charset=utf-8', parquet: 'application/vnd.apache.parquet' } as const;

/** Readings as a file: the bytes are streamed as the client takes them, so an answer of any size costs no memory. */
export const exportRoutes: Routes = (api, service, options) => {
  api.get('/v1/export', {
    exposeHeadRoute: false,
    config: { scope: 'read' },
    schema: {
      tags: ['readings'], summary: 'Readings with their results as a file', querystring: ExportFilter, produces: Object.values(TYPE), response: { 200: Type.Unsafe<Readable>({ type: 'string', contentMediaType: 'application/octet-stream' }), ...problems },
      description: 'Of one device by metric and time, of all in the order of their arrival. In CSV a name that a spreadsheet would take for a formula begins with an apostrophe. From InfluxDB series by series. One at a time (but CSV from InfluxDB, which needs no file): another one meanwhile is answered 429. '
        + 'The header `gruard-rows` has the rows, where they are known beforehand.',
    },
  }, async (request, reply) => {
    const { format, device, metric } = request.query;
    const query = { format, device, metric, ...rangeOf(request.query, options, true) };
    const gone = new AbortController();
    // Nothing is sent while the file is being made, however long that takes: where somebody hears of it, the idle connection is not closed.
    const patient = (): void => undefined;
    reply.raw.on('timeout', patient);
    reply.raw.once('close', () => gone.abort());
    const { stream, rows } = await service.exportReadings(query, gone.signal).catch((thrown: unknown) => {
      // Nobody is there to be answered; that it was broken off is no fault.
      if (gone.signal.aborted) reply.hijack();
      throw thrown;
    }).finally(() => reply.raw.off('timeout', patient));
    if (rows !== null) reply.header('gruard-rows', String(rows));
    return reply.type(TYPE[format]).header('content-disposition', `attachment; filename="readings.${format}"`).header('cache-control', 'no-store').send(stream);
  });
};
