import type { ServerResponse } from 'node:http';
import { GruardError } from '../../core/errors.js';
import type { GruardService, LiveMessage } from '../../core/service.js';
import { mayStill, TokenCheck } from '../auth.js';
import type { ResolvedOptions } from '../options.js';
import * as present from '../present.js';
import { problems, StreamFilter } from '../schemas.js';
import type { Routes } from './route.js';

const OVERVIEW_MS = 1000;
const HEARTBEAT_MS = 15_000;
/** Events read from the store for a client that was away for longer than the live feed remembers. */
const CATCH_UP = 200;
/** Messages held for a client while the store is being read for it. */
const MOST_WAITING = 1000;

/** The open server-sent event streams (HTML Standard, section 9.2). Nothing waits for a slow one: it is dropped and resumes by Last-Event-ID. */
class Streams {
  readonly #open = new Map<ServerResponse, { overview: boolean; end: () => void; allowed: () => boolean }>();
  #timer: NodeJS.Timeout | undefined;
  #beats = 0;

  constructor(private readonly service: GruardService, private readonly options: ResolvedOptions) {}

  get full(): boolean {
    return this.#open.size >= this.options.streams;
  }

  /** `allowed` is asked every second: the stream of a token that is revoked ends. */
  add(response: ServerResponse, overview: boolean, allowed: () => boolean, end: () => void): void {
    this.#open.set(response, { overview, end, allowed });
    response.on('close', () => this.#remove(response));
    if (overview) this.send(response, this.#overview());
    this.#timer ??= setInterval(() => this.#beat(), OVERVIEW_MS).unref();
  }

  /** Drops the client when it does not keep up. */
  send(response: ServerResponse, text: string): void {
    if (response.writableLength + text.length > this.options.streamBufferBytes) response.destroy();
    else response.write(text);
  }

  closeAll(): void {
    for (const response of [...this.#open.keys()]) {
      this.#remove(response);
      response.end();
    }
  }

  #remove(response: ServerResponse): void {
    this.#open.get(response)?.end();
    this.#open.delete(response);
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beat(): void {
    const heartbeat = ++this.#beats % (HEARTBEAT_MS / OVERVIEW_MS) === 0 ? ': still here\n\n' : '';
    const overview = this.#overview();
    for (const [response, stream] of this.#open) {
      if (!stream.allowed()) {
        response.destroy();
        continue;
      }
      const text = stream.overview ? overview : heartbeat;
      if (text !== '') this.send(response, text);
    }
  }

  #overview(): string {
    return frame('overview', present.overview(this.service.overview(), this.service.health().status));
  }
}

export const streamRoutes: Routes = (api, service, options) => {
  const streams = new Streams(service, options);
  const tokens = new TokenCheck(options);
  api.addHook('preClose', (done) => {
    streams.closeAll();
    done();
  });

  api.get('/v1/stream', {
    exposeHeadRoute: false,
    config: { scope: 'read' },
    schema: {
      tags: ['anomalies'], summary: 'What happens, as it happens (server-sent events)',
      description: 'Messages: `anomaly` (an event and how it changed), `verdict`, `readings` (with `device`), `overview`. Resume with the header Last-Event-ID; what the live feed no longer remembers comes from the store. '
        + 'A client that does not keep up is disconnected.',
      querystring: StreamFilter, produces: ['text/event-stream'], response: { 200: { type: 'string' }, ...problems },
    },
  }, async (request, reply) => {
    if (streams.full) throw new GruardError('TOO_MANY_STREAMS', `There are already ${options.streams} open streams.`);
    const { device, overview } = request.query;
    const header = request.headers['last-event-id'];
    const lastId = typeof header === 'string' && header !== '' ? header : request.query.last_event_id;

    reply.header('content-type', 'text/event-stream; charset=utf-8').header('cache-control', 'no-store').header('x-accel-buffering', 'no');
    reply.hijack();
    const response = reply.raw;
    response.writeHead(200, reply.getHeaders() as Record<string, string>);
    response.write('retry: 2000\n\n');

    // What comes while the store is being read waits here, so that the older events arrive first.
    let waiting: string[] | null = [];
    const take = (message: LiveMessage): void => {
      const text = frameOf(message);
      if (!waiting) streams.send(response, text);
      else if (waiting.push(text) > MOST_WAITING) response.destroy();
    };
    const missed = lastId === undefined ? [] : service.live.since(lastId)?.filter((message) => concerns(message, device));
    streams.add(response, overview, () => mayStill(request, tokens), service.live.subscribe(take, device));
    const backlog = missed?.map(frameOf) ?? await fromStore(service, device);
    for (const text of [...backlog, ...waiting]) streams.send(response, text);
    waiting = null;
  });
};

function concerns(message: LiveMessage, device: string | undefined): boolean {
  if (message.type === 'readings') return message.device === device;
  return device === undefined || (message.type === 'anomaly' ? message.event.device : message.verdict.device) === device;
}

/** The newest events, oldest first: whole events, so that one that the client already has changes nothing. */
async function fromStore(service: GruardService, device: string | undefined): Promise<string[]> {
  try {
    const { items } = await service.results.queryEvents({ device, limit: CATCH_UP });
    return items.reverse().map((event) => frame('anomaly', { change: event.state === 'open' ? 'updated' : 'resolved', event: present.anomaly(event) }));
  } catch {
    return [];
  }
}

function frameOf(message: LiveMessage): string {
  switch (message.type) {
    case 'anomaly':
      return frame('anomaly', { change: message.change, event: present.anomaly(message.event) }, message.id);
    case 'verdict':
      return frame('verdict', { verdict: present.verdict(message.verdict) }, message.id);
    case 'readings':
      // Without an id: a client resumes at the last event, and reads the readings that it missed from the series.
      return frame('readings', { device: message.device, rows: message.rows.map(present.liveReading) });
  }
}

/** JSON escapes line feeds, so that one `data` line holds it all. */
function frame(type: string, data: unknown, id?: string): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}
