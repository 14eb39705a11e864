import { createServer, type Server, type Socket } from 'node:net';
import { timingSafeEqual, createHash } from 'node:crypto';
import { Aedes, type AuthenticateError, type PublishPacket } from 'aedes';
import type { Clock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import type { ReadingSink, Source, SourceStatus } from '../core/source.js';
import { DEFAULT_INLET_LIMITS, Inlet, type IngestStages, type InletLimits } from './inlet.js';
import { PacketGuard } from './packet-guard.js';

export interface BrokerSettings {
  host: string;
  /** 0: any free port. */
  port: number;
  username?: string;
  password?: string;
  /** Connected clients at the most. */
  clients: number;
}

type Done = (error?: Error | null) => void;

/** A topic with its length, and a packet id. */
const TOPIC_BYTES = 65_535 + 4;
const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost']);
const NOT_AUTHORIZED = 4; // CONNACK return code: bad user name or password (MQTT 3.1.1, 3.2.2.3)

/**
 * An MQTT 3.1.1 broker for fleets that have none. aedes acknowledges a message before it hands it to subscribers, but after `authorizePublish`: so the
 * message is authorised when it is durable. Until then aedes reads no more from that client than the piece of its stream that it has in hand, which bounds
 * what is undurable.
 */
export class BrokerSource implements Source {
  readonly name = 'broker';
  readonly #settings: BrokerSettings;
  readonly #clock: Clock;
  /** Of a whole packet. */
  readonly #packetBytes: number;
  readonly #inlet: Inlet<Done>;
  readonly #sockets = new Set<Socket>();
  #aedes: Aedes | undefined;
  #server: Server | undefined;
  #wake: () => void = () => undefined;
  #state: SourceStatus['state'] = 'connecting';
  #refusedClients = 0;
  #tooLarge = 0;

  constructor(stages: IngestStages, clock: Clock, settings: BrokerSettings, limits: InletLimits = DEFAULT_INLET_LIMITS) {
    this.#settings = settings;
    this.#clock = clock;
    this.#packetBytes = stages.limits.payloadBytes + TOPIC_BYTES;
    this.#inlet = new Inlet(this.name, stages, limits);
  }

  /** Listens. Throws PORT_TAKEN, BROKER_CREDENTIALS_REQUIRED. */
  async open(wake: () => void): Promise<void> {
    this.#wake = wake;
    const { host, port, username, password } = this.#settings;
    if (!LOOPBACK.has(host) && !(username && password)) {
      throw new GruardError('BROKER_CREDENTIALS_REQUIRED', `broker.host is ${host}: anybody there could send readings`);
    }
    const aedes = await Aedes.createBroker({ heartbeatInterval: 60_000, connectTimeout: 10_000, queueLimit: 1000 });
    this.#aedes = aedes;
    aedes.preConnect = (_client, _packet, callback) => this.#admit(callback);
    aedes.authenticate = (_client, user, pass, callback) => this.#authenticate(user, pass, callback);
    aedes.authorizePublish = (_client, packet, done) => this.#publish(packet, done);
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    try {
      await listen(server, host, port);
    } catch (error) {
      aedes.close();
      throw listenError(error, host, port);
    }
    this.#state = 'connected';
  }

  /** Where it listens, known once it is open. */
  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address !== null ? address.port : this.#settings.port;
  }

  get url(): string {
    const { host } = this.#settings;
    return `mqtt://${host.includes(':') ? `[${host}]` : host}:${this.port}`;
  }

  drain(sink: ReadingSink): number {
    return this.#inlet.drain(sink);
  }

  settle(ticket: number): void {
    this.#inlet.settle(ticket, (done) => done(null));
  }

  get waiting(): number {
    return this.#inlet.waiting;
  }

  status(): SourceStatus {
    const clients = this.#aedes?.connectedClients ?? 0;
    const refused = this.#refusedClients > 0 ? `, ${this.#refusedClients} refused` : '';
    const tooLarge = this.#tooLarge > 0 ? `, ${this.#tooLarge} cut off: a packet was too large (limits.payload_bytes)` : '';
    return { state: this.#state, address: this.url, detail: `${clients} clients${refused}${tooLarge}`, received: this.#inlet.received };
  }

  /** Messages that come from here on are neither taken nor acknowledged: their clients send them again. */
  pause(): Promise<void> {
    this.#state = 'stopped';
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.pause();
    this.#inlet.discardWaiting(() => undefined);
    const server = this.#server;
    const closed = server?.listening ? new Promise<void>((resolve) => { server.close(() => resolve()); }) : Promise.resolve();
    for (const socket of this.#sockets) socket.destroy();
    const aedes = this.#aedes;
    if (aedes) await new Promise<void>((resolve) => { aedes.close(resolve); });
    await closed;
  }

  #accept(socket: Socket): void {
    if (this.#sockets.size >= this.#settings.clients + 100) {
      this.#refusedClients++;
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#aedes!.handle(new PacketGuard(socket, this.#packetBytes, () => { this.#tooLarge++; }));
  }

  #admit(callback: (error: Error | null, success: boolean) => void): void {
    const full = this.#aedes!.connectedClients >= this.#settings.clients;
    if (full) this.#refusedClients++;
    callback(full ? new Error('too many clients (broker.clients)') : null, !full);
  }

  #authenticate(user: string | undefined, pass: Buffer | undefined, callback: (error: AuthenticateError | null, success: boolean) => void): void {
    const { username, password } = this.#settings;
    if (!username && !password) return callback(null, true);
    const good = sameSecret(user ?? '', username ?? '') && sameSecret(pass?.toString('utf8') ?? '', password ?? '');
    if (good) return callback(null, true);
    this.#refusedClients++;
    callback(Object.assign<Error, { returnCode: number }>(new Error('bad user name or password'), { returnCode: NOT_AUTHORIZED }), false);
  }

  #publish(packet: PublishPacket, done: Done): void {
    if (packet.topic.startsWith('$')) {
      done(new Error('topics that begin with $ are the broker\'s own'));
      return;
    }
    if (this.#state !== 'connected') return;
    this.#inlet.push(packet.topic, packet.payload as Buffer, this.#clock.nowMs(), done);
    this.#wake();
  }
}

/** Takes the same time wherever they differ. */
function sameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function listenError(error: unknown, host: string, port: number): GruardError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE' || code === 'EACCES') {
    return new GruardError('PORT_TAKEN', `the broker cannot listen on ${host}:${port} (setting broker.port, GRUARD_BROKER_PORT): ${code}`, { cause: error });
  }
  return new GruardError('CONFIG_INVALID', `broker.host ${host}: ${messageOf(error)}`, { cause: error });
}
