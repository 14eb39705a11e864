import type { Duplex } from 'node:stream';
import { connect, type IClientOptions, type ISubscriptionMap, type MqttClient } from 'mqtt';
import type { Clock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import { systemRandom } from '../core/random.js';
import type { ReadingSink, Source, SourceStatus } from '../core/source.js';
import { DEFAULT_INLET_LIMITS, Inlet, type IngestStages } from './inlet.js';
import { PublishTap } from './publish-tap.js';
import { restingSocket } from './resting-socket.js';

export interface MqttSettings {
  /** mqtt://, mqtts://, ws:// or wss://. */
  url: string;
  /** Topic filters. */
  topics: string[];
  version: '3.1.1' | '5';
  qos: 0 | 1;
  /** Fixed, so that the broker keeps what came while gruard was away. */
  clientId: string;
  username?: string;
  password?: string;
  /** PEM. */
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
  /** Messages between receipt and journal; past it the connection is read no further. */
  unacknowledgedMessages?: number;
  unacknowledgedBytes?: number;
  /** Default 60. */
  keepaliveS?: number;
}

const KEEPALIVE_S = 60;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;
const NO_ACK = -1;
export const ADDRESS = /^(?:mqtts?|wss?):\/\/[^/]/;

/**
 * Subscribes to a broker at QoS 1 in a persistent session. A PUBACK goes out only when its message is durable: messages are taken out of the stream before
 * mqtt.js sees them (publish-tap.ts), and after each commit one buffer of PUBACKs is written, in the order in which the messages came [MQTT-4.6.0-2].
 */
export class MqttSource implements Source {
  readonly name = 'mqtt';
  readonly #settings: MqttSettings;
  readonly #clock: Clock;
  readonly #payloadBytes: number;
  /** The token of a message is its connection's number * 65536 + its packet id, or NO_ACK at QoS 0. */
  readonly #inlet: Inlet<number>;
  #client: MqttClient | undefined;
  /** The stream of the connection now; acknowledgements are only good on the connection on which the message came. */
  #tap: PublishTap | undefined;
  #connection = 0;
  #receivedMs = 0;
  #wake: () => void = () => undefined;
  /** Nothing more is read: too much is undurable. */
  #held = false;
  #heldTimer: NodeJS.Timeout | undefined;
  #paused = false;
  #state: SourceStatus['state'] = 'connecting';
  #detail: string | null = null;

  constructor(stages: IngestStages, clock: Clock, settings: MqttSettings) {
    this.#settings = settings;
    this.#clock = clock;
    this.#payloadBytes = stages.limits.payloadBytes;
    this.#inlet = new Inlet(this.name, stages, {
      items: settings.unacknowledgedMessages ?? DEFAULT_INLET_LIMITS.items,
      bytes: settings.unacknowledgedBytes ?? DEFAULT_INLET_LIMITS.bytes,
    });
  }

  /** Resolves at once: a broker that is not there is tried again, with growing pauses. Throws CONFIG_INVALID for an address that cannot be one. */
  open(wake: () => void): Promise<void> {
    this.#wake = wake;
    const { url } = this.#settings;
    if (!ADDRESS.test(url)) return Promise.reject(new GruardError('CONFIG_INVALID', `mqtt.url: ${JSON.stringify(withoutPassword(url))} is no mqtt://, mqtts://, ws:// or wss:// address`));
    let client: MqttClient;
    try {
      client = connect(url, clientOptions(this.#settings));
      this.#install(client);
    } catch (error) {
      return Promise.reject(new GruardError('CONFIG_INVALID', `mqtt.url: ${messageOf(error)}`));
    }
    this.#client = client;
    client.on('connect', () => this.#connected(client));
    client.on('error', (error) => { this.#detail = describe(error); });
    client.on('close', () => this.#disconnected(client));
    this.#heldTimer = setInterval(() => this.#keepAlive(client), ((this.#settings.keepaliveS ?? KEEPALIVE_S) / 3) * 1000);
    this.#heldTimer.unref();
    client.connect();
    return Promise.resolve();
  }

  drain(sink: ReadingSink): number {
    return this.#inlet.drain(sink);
  }

  settle(ticket: number): void {
    const most = ticket - this.#inlet.settled;
    if (most <= 0) return;
    const acks = Buffer.allocUnsafe(4 * most);
    let at = 0;
    this.#inlet.settle(ticket, (token) => {
      if (token === NO_ACK || Math.floor(token / 65536) !== this.#connection) return;
      acks[at++] = 0x40; // PUBACK, 2 more bytes: the packet id (in MQTT 5 too: reason 0 may be left out, 3.4.2.1)
      acks[at++] = 2;
      acks[at++] = (token >>> 8) & 0xff;
      acks[at++] = token & 0xff;
    });
    if (at > 0 && this.#client?.connected && this.#tap?.writable) this.#tap.write(acks.subarray(0, at));
    this.#release();
  }

  get waiting(): number {
    return this.#inlet.waiting;
  }

  status(): SourceStatus {
    return { state: this.#state, address: withoutPassword(this.#settings.url), detail: this.#detail, received: this.#inlet.received };
  }

  /** From here on messages are passed over without an acknowledgement: the broker keeps them for the next session. */
  pause(): Promise<void> {
    this.#paused = true;
    this.#release();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.pause();
    clearInterval(this.#heldTimer);
    const client = this.#client;
    this.#state = 'stopped';
    if (client === undefined) return;
    this.#client = undefined;
    await new Promise<void>((resolve) => {
      const tooLong = setTimeout(() => client.stream.destroy(), 1000);
      client.end(false, () => {
        clearTimeout(tooLong);
        resolve();
      });
    });
  }

  /** Has mqtt.js make its streams with a tap in them. `streamBuilder` is private there: the version is pinned, and the conformance suite holds it. */
  #install(client: MqttClient): void {
    const build = client['streamBuilder'] as (self: MqttClient) => Duplex;
    client['streamBuilder'] = (self: MqttClient) => {
      const connection = ++this.#connection;
      this.#held = false;
      this.#tap = new PublishTap(plain(self) ? restingSocket({ host: self.options.hostname ?? self.options.host ?? 'localhost', port: self.options.port ?? 1883 }) : build(self), {
        mqtt5: this.#settings.version === '5',
        maxPayloadBytes: this.#payloadBytes,
        onPiece: () => { this.#receivedMs = this.#clock.nowMs(); },
        onPublish: (topic, payload, packetId, retain) => this.#receive(topic, payload, packetId < 0 ? NO_ACK : connection * 65536 + packetId, retain),
      });
      return this.#tap;
    };
  }

  /** Returns false where no more is wanted for now. */
  #receive(topic: string, payload: Buffer, token: number, retain: boolean): boolean {
    if (this.#paused) return true;
    this.#inlet.push(topic, payload, this.#receivedMs, token, retain);
    this.#wake();
    this.#held = this.#inlet.overfull;
    return !this.#held;
  }

  #release(): void {
    if (!this.#held || (this.#inlet.overfull && !this.#paused)) return;
    this.#held = false;
    this.#tap?.resumeMessages();
  }

  /** While nothing is read, mqtt.js does not get to see the broker's PINGRESP either and would hang up: ping for it. */
  #keepAlive(client: MqttClient): void {
    if (!this.#held || !client.connected) return;
    client.reschedulePing(true);
    client.sendPing();
  }

  #connected(client: MqttClient): void {
    this.#state = 'connected';
    this.#detail = null;
    client.options.reconnectPeriod = FIRST_RETRY_MS;
    const { topics, qos, version } = this.#settings;
    // Subscribed every time: the filters may have changed since the session began. In MQTT 5 the broker sends retained messages only the first time.
    const filters: ISubscriptionMap = {};
    for (const topic of topics) filters[topic] = version === '5' ? { qos, rh: 1 } : { qos };
    client.subscribe(filters, (error, granted) => {
      const refused = granted?.filter((grant) => grant.qos >= 128).map((grant) => grant.topic) ?? [];
      if (error) this.#detail = `subscribing failed: ${describe(error)}`;
      else if (refused.length > 0) this.#detail = `the broker refuses the subscription to ${refused.join(', ')}`;
    });
  }

  #disconnected(client: MqttClient): void {
    if (this.#state === 'stopped') return;
    this.#state = 'disconnected';
    const period = Math.min(LAST_RETRY_MS, (client.options.reconnectPeriod ?? FIRST_RETRY_MS) * 2);
    client.options.reconnectPeriod = Math.round(period * (0.8 + 0.2 * systemRandom()));
  }
}

/** Whether the connection is TCP and nothing else. */
function plain({ options }: MqttClient): boolean {
  return options.protocol === 'mqtt' && !options.socksProxy;
}

function clientOptions(settings: MqttSettings): IClientOptions {
  return {
    clientId: settings.clientId,
    clean: false,
    manualConnect: true,
    // Not even the check whether somebody wants the debug log.
    log: () => undefined,
    keepalive: settings.keepaliveS ?? KEEPALIVE_S,
    reconnectPeriod: FIRST_RETRY_MS,
    connectTimeout: 10_000,
    resubscribe: false,
    protocolVersion: settings.version === '5' ? 5 : 4,
    // A session that ends only when gruard ends it (3.1.2.11.2): 0xffffffff is for ever.
    properties: settings.version === '5' ? { sessionExpiryInterval: 0xffffffff } : undefined,
    username: settings.username || undefined,
    password: settings.password || undefined,
    ca: settings.ca,
    cert: settings.cert,
    key: settings.key,
  };
}

/** An address without the password (and user) that may stand in it. */
export function withoutPassword(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//');
}

/** A refused connection to a name with two addresses is an AggregateError without a message. */
function describe(error: Error & { code?: string | number }): string {
  return error.message || String(error.code ?? error.name);
}
