import type { Duplex } from 'node:stream';
import { StreamLayer } from './stream-layer.js';
import { TextCache } from './text-cache.js';

/**
 * A PUBLISH as it stands in the stream. `payload` is lent from the network's buffer. Returns false to be handed no more until `resume`.
 * `packetId` is -1 at QoS 0.
 */
export type OnPublish = (topic: string, payload: Buffer, packetId: number, retain: boolean) => boolean;

export interface TapOptions {
  mqtt5: boolean;
  /** Of a larger payload only the first bytes are kept (one more than this), so that it is seen to be too large. */
  maxPayloadBytes: number;
  /** Called once before the messages of a piece of the stream. */
  onPiece?: () => void;
  onPublish: OnPublish;
}

const PUBLISH = 3;
const EMPTY = Buffer.alloc(0);
const MOST_HEADER_BYTES = 5;
/** Topic, packet id and, in MQTT 5, properties that a broker may add; more in front of a payload is a broken stream. */
const MOST_PREAMBLE_BYTES = 2 + 65_535 + 2 + 65_536;

/**
 * Stands between a broker's socket and mqtt.js and takes the PUBLISH packets out of the stream; all others (CONNACK, SUBACK, PINGRESP, ...) go on to
 * mqtt.js, which keeps the connection, its authentication and its subscriptions. A message costs a microsecond here and eight there, and
 * here its acknowledgement is ours, its size is bounded, and nothing is read while nothing more is wanted.
 * Packets: MQTT 3.1.1, 2.2 and 3.3; MQTT 5, 2.1.3 and 3.3.
 */
export class PublishTap extends StreamLayer {
  readonly #options: TapOptions;
  readonly #topics = new TextCache();
  /** The beginning of a packet whose end has not come yet, in pieces. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  /** Bytes that `#pieces` need to be worth another look. */
  #wanted = 0;
  /** Bytes of an oversized payload that are still to be thrown away. */
  #skip = 0;
  #held = false;

  constructor(inner: Duplex, options: TapOptions) {
    super(inner, true);
    this.#options = options;
  }

  /** Goes on after `onPublish` returned false. */
  resumeMessages(): void {
    if (!this.#held) return;
    this.#held = false;
    const rest = this.#gather();
    if (rest.length > 0) this.pass(rest);
    if (!this.#held) this.inner.resume();
  }

  override _read(): void {
    // What mqtt.js gets is small and rare; PUBLISH packets, which are neither, have their own brake.
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#pieces = [];
    super._destroy(error, done);
  }

  protected override pass(chunk: Buffer): void {
    if (this.#held || this.#pieceBytes + chunk.length < this.#wanted) {
      this.#keep(chunk);
      return;
    }
    let p = chunk;
    if (this.#pieceBytes > 0) {
      this.#keep(chunk);
      p = this.#gather();
    }
    this.#options.onPiece?.();
    let at = 0;
    try {
      while (at < p.length && !this.#held && !this.destroyed) {
        const next = this.#packet(p, at);
        if (next === at) break;
        at = next;
      }
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    if (this.#held) this.inner.pause();
    if (at < p.length) this.#keep(at === 0 ? p : p.subarray(at));
  }

  #keep(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#pieceBytes += piece.length;
  }

  #gather(): Buffer {
    const all = this.#pieces.length === 1 ? this.#pieces[0] : this.#pieces.length === 0 ? EMPTY : Buffer.concat(this.#pieces, this.#pieceBytes);
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#wanted = 0;
    return all;
  }

  /** Deals with the packet at `at`; returns where the next one begins, or `at` where more bytes are needed. */
  #packet(p: Buffer, at: number): number {
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, p.length - at);
      this.#skip -= skipped;
      return at + skipped;
    }
    let length = 0;
    let body = at + 1;
    for (let shift = 0; ; shift += 7) {
      if (body >= p.length) return at;
      const byte = p[body++];
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) break;
      if (body - at >= MOST_HEADER_BYTES) throw malformed('malformed packet length');
    }
    const end = body + length;
    const publish = p[at] >> 4 === PUBLISH;
    if (end > p.length) return publish && length > MOST_PREAMBLE_BYTES + this.#options.maxPayloadBytes ? this.#oversized(p, at, body, end) : this.#waitFor(end - at, at);
    if (publish) this.#publish(p, p[at], body, end, end);
    else this.push(p.subarray(at, end));
    return end;
  }

  #waitFor(bytes: number, at: number): number {
    this.#wanted = bytes;
    return at;
  }

  /** A message that is refused whatever it says: only its beginning is waited for, the rest is passed over. */
  #oversized(p: Buffer, at: number, body: number, end: number): number {
    const enough = body + MOST_PREAMBLE_BYTES + this.#options.maxPayloadBytes;
    if (p.length < enough) return this.#waitFor(enough - at, at);
    this.#publish(p, p[at], body, p.length, end);
    this.#skip = end - p.length;
    return p.length;
  }

  /** The bytes [body, to) of a PUBLISH that ends at `end`. */
  #publish(p: Buffer, first: number, body: number, to: number, end: number): void {
    const qos = (first >> 1) & 3;
    if (qos > 1) throw malformed('a message at a higher quality of service than was subscribed to');
    const topicEnd = body + 2 + ((p[body] << 8) | p[body + 1]);
    let at = topicEnd;
    let packetId = -1;
    if (qos === 1) {
      packetId = (p[at] << 8) | p[at + 1];
      at += 2;
    }
    if (this.#options.mqtt5) at = this.#afterProperties(p, at, to);
    if (!(at <= to && body + 2 <= to) || packetId === 0) throw malformed('malformed PUBLISH');
    const most = at + this.#options.maxPayloadBytes + 1;
    const topic = this.#topics.text(p, body + 2, topicEnd);
    if (!this.#options.onPublish(topic, p.subarray(at, Math.min(end, to, most)), packetId, (first & 1) === 1)) this.#held = true;
  }

  #afterProperties(p: Buffer, from: number, to: number): number {
    let length = 0;
    let at = from;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= to) throw malformed('malformed PUBLISH');
      const byte = p[at++];
      length += (byte & 0x7f) << shift;
      if (byte < 0x80) return at + length;
    }
    throw malformed('malformed PUBLISH');
  }
}

/** mqtt.js tells of errors that have a code. */
function malformed(what: string): Error {
  return Object.assign(new Error(what), { code: 'MALFORMED_PACKET' });
}
