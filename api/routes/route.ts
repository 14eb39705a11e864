import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import { GruardError } from '../../core/errors.js';
import type { GruardService } from '../../core/service.js';
import type { ResolvedOptions } from '../options.js';

/** A server whose handlers are typed by their schemas. */
export type Api = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

/** A resource's routes. */
export type Routes = (api: Api, service: GruardService, options: ResolvedOptions) => void;

export function noSuchDevice(name: string): GruardError {
  return new GruardError('NOT_FOUND', `There is no device ${JSON.stringify(name)}.`);
}
