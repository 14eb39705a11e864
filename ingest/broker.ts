import { createServer, type Server, type Socket } from 'node:net';
import { timingSafeEqual, createHash } from 'node:crypto';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { Aedes, type AuthenticateError, type Client, type ConnectPacket, type PublishPacket, type Subscription } from 'aedes';
import type { Clock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import type { ReadingSink, Source, SourceStatus } from '../core/source.js';
import type { TlsIdentity } from '../core/tls.js';
import { admits, BrokerUsers, PASSWORD_CHARACTERS, type Identity } from './acl.js';
import { BrokerMemory } from './broker-memory.js';
import { RetainedMessages } from './broker-retained.js';
import { BrokerSessions } from './broker-sessions.js';
import type { Named } from './decode/message.js';
import { DEFAULT_INLET_LIMITS, Inlet, type IngestStages, type InletLimits } from './inlet.js';
import { PacketGuard } from './packet-guard.js';

export interface BrokerSettings {
  host: string;
  /** 0: any free port. */
  port: number;
  username?: string;
  password?: string;
  /** File of users, each with the topics that it may use. */
  usersFile?: string;
  tls?: TlsIdentity;
  /** Told why a renewed certificate is not in use. */
  onTlsError?: (thrown: unknown) => void;
  /** Told of a users file that could not be read again. */
  onUsersError?: (thrown: unknown) => void;
  /** Connected clients at the most. */
  clients: number;
  /** Connections of a user who is one device, at the most. Default 20. */
  connectionsPerDevice?: number;
}

type Done = (error?: Error | null) => void;

/** A message that waits for its journal record. */
interface Held {
  done: Done;
  /** Where the sender speaks for one device only. */
  named: Named | undefined;
}

const TLS_HANDSHAKE_MS = 10_000;
const CONNECTIONS_PER_DEVICE = 20;

/** After so long without a byte the system asks whether the other side is still there: a client may go without MQTT's own keep-alive. */
const TCP_KEEPALIVE_MS = 60_000;

/** A topic with its length, and a packet id. */
const TOPIC_BYTES = 65_535 + 4;
/** Of CONNECT: from somebody who is not known yet. */
const FIRST_PACKET_BYTES = 65_536;
/** The message that a client leaves for when it is gone is kept as long as it is there. */
const WILL_BYTES = 16_384;
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
  readonly #packetBytes: { first: number; other: number };
  readonly #nameBytes: number;
  readonly #inlet: Inlet<Held>;
  readonly #users: BrokerUsers | undefined;
  readonly #identities = new WeakMap<Client, Identity>();
  /** Connections by the name of their user, with the hash of the password that let them in. */
  readonly #connections = new Map<string, Map<Client, string>>();
  readonly #memory: BrokerMemory;
  readonly #sessions: BrokerSessions;
  readonly #sockets = new Set<Socket>();
  #aedes: Aedes | undefined;
  #server: Server | undefined;
  #unwatchTls: (() => void) | undefined;
  #wake: () => void = () => undefined;
  #state: SourceStatus['state'] = 'connecting';
  #refusedClients = 0;
  #tooLarge = 0;
  #forbidden = 0;

  constructor(stages: IngestStages, clock: Clock, settings: BrokerSettings, limits: InletLimits = DEFAULT_INLET_LIMITS, memory = new BrokerMemory(), sessions = new BrokerSessions()) {
    this.#memory = memory;
    this.#sessions = sessions;
    this.#settings = settings;
    this.#clock = clock;
    this.#packetBytes = { first: FIRST_PACKET_BYTES, other: stages.limits.payloadBytes + TOPIC_BYTES };
    this.#nameBytes = stages.limits.nameBytes;
    this.#inlet = new Inlet<Held>(this.name, stages, limits, undefined, (held) => held.named);
    this.#users = settings.usersFile === undefined ? undefined : new BrokerUsers(settings.usersFile, settings.onUsersError);
  }

  /** Listens. Throws PORT_TAKEN, BROKER_CREDENTIALS_REQUIRED, BROKER_PASSWORD_GUESSABLE. */
  async open(wake: () => void): Promise<void> {
    this.#wake = wake;
    const { host, port, username, password, tls } = this.#settings;
    if (!LOOPBACK.has(host) && !this.#users && !(username && password)) {
      throw new GruardError('BROKER_CREDENTIALS_REQUIRED', `broker.host is ${host}: anybody there could send readings`);
    }
    // The common user has no limits: half of its credentials, beside a users file, would let in whoever guesses a name.
    if ((username === undefined) !== (password === undefined)) throw new GruardError('BROKER_CREDENTIALS_REQUIRED', 'of broker.username and broker.password one is set and the other is not');
    if (!LOOPBACK.has(host) && password !== undefined && password.length < PASSWORD_CHARACTERS) {
      throw new GruardError('BROKER_PASSWORD_GUESSABLE', `broker.host is ${host}, and broker.password has fewer than ${PASSWORD_CHARACTERS} characters`);
    }
    const aedes = await Aedes.createBroker({ heartbeatInterval: 60_000, connectTimeout: 10_000, queueLimit: 1000, maxClientsIdLength: 65_535 });
    this.#aedes = aedes;
    this.#memory.guard(aedes);
    this.#sessions.guard(aedes);
    new RetainedMessages().guard(aedes);
    aedes.preConnect = (client, packet, callback) => {
      if (this.#users) {
        const identity = { user: packet.username ?? '', client: packet.clientId };
        this.#identities.set(client, identity);
        // A session belongs to its user: another one with the same client id must not come into its subscriptions and what waits for it.
        if (packet.clientId !== '') packet.clientId = `${identity.user}/${packet.clientId}`;
      }
      this.#admit(packet, callback);
    };
    aedes.authenticate = (client, user, pass, callback) => void this.#authenticate(client, user ?? '', pass?.toString('utf8') ?? '', callback);
    aedes.authorizePublish = (client, packet, done) => this.#publish(client, packet, done);
    aedes.authorizeSubscribe = (client, subscription, callback) => callback(null, this.#maySubscribe(client, subscription) ? subscription : null);
    aedes.authorizeForward = (client, packet) => (this.#mayRead(client, packet.topic) ? packet : null);
    this.#users?.watch(() => this.#cutRemoved());
    const server = tls === undefined ? createServer((socket) => this.#accept(socket)) : createTlsServer({ cert: tls.cert, key: tls.key, handshakeTimeout: TLS_HANDSHAKE_MS }, (socket) => this.#accept(socket));
    server.maxConnections = this.#settings.clients + 200;
    this.#server = server;
    this.#unwatchTls = tls?.watch?.((pair) => (server as TlsServer).setSecureContext(pair), (thrown) => this.#settings.onTlsError?.(thrown));
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
    return `${this.#settings.tls ? 'mqtts' : 'mqtt'}://${host.includes(':') ? `[${host}]` : host}:${this.port}`;
  }

  drain(sink: ReadingSink): number {
    return this.#inlet.drain(sink);
  }

  settle(ticket: number): void {
    this.#inlet.settle(ticket, ({ done }) => done(null));
  }

  get waiting(): number {
    return this.#inlet.waiting;
  }

  status(): SourceStatus {
    const clients = this.#aedes?.connectedClients ?? 0;
    const refused = this.#refusedClients > 0 ? `, ${this.#refusedClients} refused` : '';
    const tooLarge = this.#tooLarge > 0 ? `, ${this.#tooLarge} cut off: a packet was too large (limits.payload_bytes)` : '';
    const forbidden = this.#forbidden > 0 ? `, ${this.#forbidden} cut off: a topic was not theirs (broker.users_file)` : '';
    const sessions = this.#sessions.refused > 0 ? `, ${this.#sessions.refused} subscriptions or sessions too many` : '';
    const notKept = this.#memory.notKept > 0 ? `, ${this.#memory.notKept} not kept for clients that are away` : '';
    return { state: this.#state, address: this.url, detail: `${clients} clients${refused}${tooLarge}${forbidden}${sessions}${notKept}`, received: this.#inlet.received };
  }

  /** Messages that come from here on are neither taken nor acknowledged: their clients send them again. */
  pause(): Promise<void> {
    this.#state = 'stopped';
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.pause();
    this.#users?.close();
    this.#unwatchTls?.();
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
    socket.setNoDelay(true).setKeepAlive(true, TCP_KEEPALIVE_MS);
    socket.once('close', () => this.#sockets.delete(socket));
    this.#aedes!.handle(new PacketGuard(socket, this.#packetBytes, () => { this.#tooLarge++; }));
  }

  #admit({ clientId, will }: ConnectPacket, callback: (error: Error | null, success: boolean) => void): void {
    const full = this.#aedes!.connectedClients >= this.#settings.clients;
    // With the user's name in front; aedes looks at none but of MQTT 3.1.
    const tooLong = Buffer.byteLength(clientId) > 2 * this.#nameBytes || (will?.payload.length ?? 0) > WILL_BYTES;
    if (full || tooLong) this.#refusedClients++;
    callback(full ? new Error('too many clients (broker.clients)') : tooLong ? new Error('the client id or the will is too long') : null, !full && !tooLong);
  }

  async #authenticate(client: Client, user: string, pass: string, callback: (error: AuthenticateError | null, success: boolean) => void): Promise<void> {
    const { username, password } = this.#settings;
    const common = !username && !password ? !this.#users : sameSecret(user, username ?? '') && sameSecret(pass, password ?? '');
    // The common user of the settings has no entry of its own, and no limits.
    if (common) this.#identities.delete(client);
    if (common || (await this.#users?.check(user, pass) && this.#hasRoom(user, client))) {
      this.#let(client);
      callback(null, true);
      return;
    }
    this.#refusedClients++;
    callback(Object.assign<Error, { returnCode: number }>(new Error('bad user name or password'), { returnCode: NOT_AUTHORIZED }), false);
  }

  #let(client: Client): void {
    if (client.conn.destroyed) return;
    this.#sessions.open(client);
    const user = this.#identities.get(client)?.user;
    if (user !== undefined) this.#connections.set(user, (this.#connections.get(user) ?? new Map<Client, string>()).set(client, this.#users?.get(user)?.password ?? ''));
    client.conn.once('close', () => {
      this.#sessions.close(client);
      if (user === undefined) return;
      const left = this.#connections.get(user);
      left?.delete(client);
      if (left?.size === 0) this.#connections.delete(user);
    });
  }

  /** A device that was taken over must not take the places of the others. One that comes back takes its own. */
  #hasRoom(user: string, client: Client): boolean {
    if (this.#users?.get(user)?.devices !== 'own') return true;
    const others = [...this.#connections.get(user)?.keys() ?? []].filter(({ id }) => id !== client.id);
    return others.length < (this.#settings.connectionsPerDevice ?? CONNECTIONS_PER_DEVICE);
  }

  #publish(client: Client | null, packet: PublishPacket, done: Done): void {
    if (packet.topic.startsWith('$')) {
      done(new Error('topics that begin with $ are the broker\'s own'));
      return;
    }
    if (this.#state !== 'connected') return;
    const identity = client && this.#identities.get(client);
    const user = identity && this.#users?.get(identity.user);
    if (identity && !user?.publish.some((filter) => admits(filter, packet.topic, identity))) {
      this.#forbidden++;
      done(new Error('this topic is not for this user'));
      return;
    }
    this.#memory.bound(packet);
    const named = user?.devices === 'own' ? { device: user.name, deviceIsFixed: true, tags: undefined } : undefined;
    this.#inlet.push(packet.topic, packet.payload as Buffer, this.#clock.nowMs(), { done, named });
    this.#wake();
  }

  #maySubscribe(client: Client, subscription: Subscription): boolean {
    return this.#mayRead(client, subscription.topic) && this.#sessions.admit(client, subscription);
  }

  /** Asked for every message again: what waits in a session may be from before the users file changed. */
  #mayRead(client: Client, topic: string): boolean {
    const identity = this.#identities.get(client);
    if (!identity) return true;
    return this.#users?.get(identity.user)?.subscribe.some((filter) => admits(filter, topic, identity)) ?? false;
  }

  /** Who is no longer in the users file, or has another password there, is no longer connected. */
  #cutRemoved(): void {
    for (const [user, clients] of this.#connections) {
      const now = this.#users?.get(user)?.password;
      for (const [client, before] of clients) if (now !== before) client.close();
    }
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
