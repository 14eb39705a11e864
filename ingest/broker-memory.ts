import type { Aedes, PublishPacket } from 'aedes';

/** What is kept for all, and for one session, at the most. */
export interface MemoryBounds {
  retainedTopics: number;
  retainedBytes: number;
  sessionMessages: number;
  queuedBytes: number;
}

const MIB = 1_048_576;
const DEFAULT_BOUNDS: MemoryBounds = { retainedTopics: 100_000, retainedBytes: 64 * MIB, sessionMessages: 10_000, queuedBytes: 64 * MIB };

interface Queued {
  topic: string;
  payload: Buffer | string;
}

/** The part of aedes' persistence that keeps messages for sessions: called for every session that a QoS 1 or 2 message concerns, and when one is acknowledged. */
interface Queues {
  outgoingEnqueueCombi(sessions: { clientId: string }[], packet: Queued): Promise<void>;
  outgoingClearMessageId(client: { id: string }, packet: unknown): Promise<Queued | undefined>;
  outgoingUpdate(client: { id: string }, packet: unknown): Promise<void>;
}

/**
 * aedes keeps retained messages, and the queues of sessions whose client is away or does not acknowledge, in memory and without an end. This counts both and lets go what is beyond a
 * bound: such a message is delivered to whoever is there (and is in the journal), but not kept for later.
 */
export class BrokerMemory {
  /** Topic to bytes. */
  readonly #retained = new Map<string, number>();
  #retainedBytes = 0;
  /** Client id to messages. */
  readonly #waiting = new Map<string, number>();
  #queuedBytes = 0;
  /** Messages that were not kept for a session. */
  notKept = 0;

  constructor(private readonly bounds: MemoryBounds = DEFAULT_BOUNDS) {}

  /** Takes the retain flag off where the message must not be kept. */
  bound(packet: PublishPacket): void {
    if (!packet.retain) return;
    const before = this.#retained.get(packet.topic);
    const bytes = packet.payload.length === 0 ? 0 : sizeOf(packet);
    const total = this.#retainedBytes - (before ?? 0) + bytes;
    if (bytes > 0 && (total > this.bounds.retainedBytes || (before === undefined && this.#retained.size >= this.bounds.retainedTopics))) {
      packet.retain = false;
      return;
    }
    this.#retainedBytes = total;
    if (bytes === 0) this.#retained.delete(packet.topic);
    else this.#retained.set(packet.topic, bytes);
  }

  /** Stands between aedes and its queues. */
  guard(aedes: Aedes): void {
    const queues = (aedes as unknown as { persistence: Queues }).persistence;
    const enqueue = queues.outgoingEnqueueCombi.bind(queues);
    const clear = queues.outgoingClearMessageId.bind(queues);
    const update = queues.outgoingUpdate.bind(queues);
    queues.outgoingEnqueueCombi = (sessions, packet) => enqueue(sessions.filter(({ clientId }) => this.#take(clientId, packet)), packet);
    // Where nothing waits aedes would begin a queue, and keep it for ever: for each client id that acknowledges anything.
    queues.outgoingUpdate = async (client, packet) => {
      if (!this.#waiting.has(client.id)) throw new Error('no such packet');
      await update(client, packet);
    };
    queues.outgoingClearMessageId = async (client, packet) => {
      if (!this.#waiting.has(client.id)) return undefined;
      const cleared = await clear(client, packet);
      if (cleared) this.#release(client.id, cleared);
      return cleared;
    };
  }

  #take(clientId: string, packet: Queued): boolean {
    const waiting = this.#waiting.get(clientId) ?? 0;
    const bytes = sizeOf(packet);
    if (waiting >= this.bounds.sessionMessages || this.#queuedBytes + bytes > this.bounds.queuedBytes) {
      this.notKept++;
      return false;
    }
    this.#waiting.set(clientId, waiting + 1);
    this.#queuedBytes += bytes;
    return true;
  }

  #release(clientId: string, packet: Queued): void {
    const waiting = (this.#waiting.get(clientId) ?? 1) - 1;
    if (waiting > 0) this.#waiting.set(clientId, waiting);
    else this.#waiting.delete(clientId);
    this.#queuedBytes -= sizeOf(packet);
  }
}

function sizeOf({ topic, payload }: Queued): number {
  return payload.length + topic.length + 100;
}
