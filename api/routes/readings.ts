import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { GruardError } from '../../core/errors.js';
import { problems, ReadingsBody, SubmitResult } from '../schemas.js';
import type { Routes } from './route.js';

const gunzipAsync = promisify(gunzip);
const TYPES = ['application/json', 'application/x-ndjson', 'text/plain'];

/** Readings come as bytes and go as bytes to the decoder that every source uses: parsed once, and not here. */
export const readingsRoutes: Routes = (api, service, options) => {
  api.removeAllContentTypeParsers();
  api.addContentTypeParser(TYPES, { parseAs: 'buffer', bodyLimit: options.payloadBytes }, (_request, body, done) => done(null, body));

  api.post('/v1/readings', {
    config: { scope: 'write' },
    schema: {
      tags: ['readings'],
      summary: 'Send readings',
      description: 'An object, an array of objects, an object a line, or line protocol; gzip is taken with `Content-Encoding: gzip`. Answered once what was accepted is durable. '
        + 'Readings that were refused are counted by reason and kept as dead letters.',
      consumes: TYPES,
      body: ReadingsBody,
      response: { 202: SubmitResult, ...problems },
    },
    validatorCompiler: () => () => true,
  }, async (request, reply) => {
    const body = await plain(request.body as Buffer, request.headers['content-encoding'], options.payloadBytes);
    const type = request.headers['content-type'] ?? '';
    const format = type.startsWith('text/plain') ? 'line' : 'json';
    return reply.code(202).send(await service.submit(type.startsWith('application/x-ndjson') ? arrayOfLines(body) : body, format));
  });
};

/** Stops at the limit, however far a small body would unfold. */
async function plain(body: Buffer, encoding: string | undefined, maxOutputLength: number): Promise<Buffer> {
  if (encoding === undefined || encoding === 'identity') return body;
  if (encoding !== 'gzip') throw new GruardError('UNSUPPORTED_MEDIA', `The content encoding ${JSON.stringify(encoding)} is not known; send gzip or none.`);
  try {
    return await gunzipAsync(body, { maxOutputLength });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw new GruardError('PAYLOAD_TOO_LARGE', `The body unfolds to more than ${maxOutputLength} bytes.`, { cause });
    throw new GruardError('REQUEST_INVALID', 'The body is not gzip.', { cause });
  }
}

/** The same bytes as one JSON array: a raw line feed stands between values of JSON only, never within one. */
function arrayOfLines(body: Buffer): Buffer {
  const lines = body.toString('utf8').split('\n').filter((line) => line.trim() !== '');
  return Buffer.from(`[${lines.join(',')}]`);
}
