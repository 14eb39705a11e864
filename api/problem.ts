import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { ERRORS, GruardError, messageOf, type ErrorCode } from '../core/errors.js';

/** Where Fastify and its plugins refuse something themselves, by the status they refuse it with. */
const CODE_OF_STATUS = new Map<number, ErrorCode>([
  [400, 'REQUEST_INVALID'], [401, 'UNAUTHORIZED'], [403, 'FORBIDDEN'], [404, 'NOT_FOUND'], [408, 'REQUEST_TIMEOUT'],
  [413, 'PAYLOAD_TOO_LARGE'], [415, 'UNSUPPORTED_MEDIA'], [429, 'RATE_LIMITED'], [503, 'SHUTTING_DOWN'],
]);

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  next: string;
}

/** RFC 9457 problem details of anything thrown. What is not a GruardError and not the client's fault says nothing about itself: it may hold a secret. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof GruardError) return problem(thrown.code, thrown.message);
  const error = thrown as Partial<FastifyError>;
  if (error.validation) return problem('REQUEST_INVALID', validationDetail(error));
  const status = error.statusCode ?? 500;
  const code = CODE_OF_STATUS.get(status) ?? (status >= 400 && status < 500 ? 'REQUEST_INVALID' : undefined);
  return code ? problem(code, messageOf(thrown), error.statusCode) : problem('INTERNAL', 'Something went wrong inside gruard.');
}

export function problem(code: ErrorCode, detail: string, status: number = ERRORS[code].status): Problem {
  return { type: `urn:gruard:problem:${code.toLowerCase()}`, title: STATUS_CODES[status] ?? 'Error', status, detail, code, next: ERRORS[code].next };
}

function validationDetail(error: Partial<FastifyError>): string {
  const [first] = error.validation!;
  const where = `${error.validationContext ?? 'request'}${first.instancePath.replaceAll('/', '.')}`;
  const params = first.params as { additionalProperty?: string; allowedValues?: string[] };
  if (params.additionalProperty !== undefined) return `${where}: there is no parameter ${JSON.stringify(params.additionalProperty)}`;
  const allowed = params.allowedValues ? `: ${params.allowedValues.join(', ')}` : '';
  return `${where} ${first.message ?? 'is invalid'}${allowed}`;
}

/** Answers with the problem. `Retry-After` tells a client that may try again when to. */
export function sendProblem(thrown: unknown, _request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const body = problemOf(thrown);
  if (body.status === 401) reply.header('www-authenticate', 'Bearer realm="gruard"');
  if ((body.status === 429 || body.status === 503) && !reply.hasHeader('retry-after')) reply.header('retry-after', '1');
  // A string passes by the route's serialiser, which knows other shapes.
  return reply.code(body.status).type('application/problem+json').send(JSON.stringify(body));
}

/** What is not HTTP, or does not come in time, never becomes a request: answered on the bare socket, which is then closed. Returns the code; none where the connection has ended already, and nobody is refused anything. */
export function endWithProblem(error: NodeJS.ErrnoException, socket: Socket): ErrorCode | undefined {
  if (error.code === 'ECONNRESET') {
    socket.destroy();
    return undefined;
  }
  const body = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? problem('REQUEST_TIMEOUT', 'The request did not come in time.') : problem('REQUEST_INVALID', 'This is not a valid HTTP request.');
  if (socket.writable) {
    const text = JSON.stringify(body);
    socket.write(`HTTP/1.1 ${body.status} ${body.title}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`);
  }
  socket.destroy();
  return body.code;
}
