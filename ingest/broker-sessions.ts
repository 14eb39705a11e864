import type { Aedes, Client, Subscription } from 'aedes';

export interface SessionBounds {
  /** Of one client. */
  subscriptions: number;
  /** Topic filters of all clients, and what they cost beside their characters. */
  subscriptionBytes: number;
  /** Client ids whose session outlives their connection. */
  sessions: number;
  /** Messages of QoS 2 whose sender has not yet let go of their id, of all clients. */
  halfDone: number;
}

const DEFAULT_BOUNDS: SessionBounds = { subscriptions: 1000, subscriptionBytes: 64 * 1_048_576, sessions: 100_000, halfDone: 1_000_000 };
const SUBSCRIPTION_BYTES = 300;

/** The part of aedes' persistence that keeps subscriptions and the ids of QoS 2. */
interface Persistence {
  addSubscriptions(client: { id: string }, subscriptions: Subscription[]): Promise<void>;
  incomingStorePacket(client: { id: string }, packet: Numbered): Promise<void>;
  incomingGetPacket(client: { id: string }, packet: Numbered): Promise<Numbered>;
  incomingDelPacket(client: { id: string }, packet: Numbered): Promise<void>;
  cleanIncoming(client: { id: string }): Promise<void>;
}

interface Numbered {
  messageId?: number;
}

interface Session {
  client: Client;
  topics: Set<string>;
}

/**
 * What aedes remembers of its clients without an end: subscriptions, sessions that outlive a connection, and whole messages of QoS 2 until their sender lets go of them. This bounds them all, and
 * keeps of the last the number alone, which is all that the protocol needs.
 */
export class BrokerSessions {
  /** By client id. */
  readonly #sessions = new Map<string, Session>();
  #subscriptionBytes = 0;
  /** Ids of sessions that outlive their connection. aedes never forgets the last of them, so neither does this. */
  readonly #lasting = new Set<string>();
  /** By client id. */
  readonly #halfDone = new Map<string, Set<number>>();
  #halfDoneCount = 0;
  /** The subscription that was just admitted. */
  #admitted: Subscription | undefined;
  /** Subscriptions and sessions beyond a bound. */
  refused = 0;

  constructor(private readonly bounds: SessionBounds = DEFAULT_BOUNDS) {}

  guard(aedes: Aedes): void {
    const persistence = (aedes as unknown as { persistence: Persistence }).persistence;
    const add = persistence.addSubscriptions.bind(persistence);
    // aedes hands over all subscriptions of the packet for each that is admitted, right after it was: the ones that are refused too, and work that grows with the square of their number.
    persistence.addSubscriptions = async (client) => {
      const admitted = this.#admitted;
      this.#admitted = undefined;
      if (admitted) await add(client, [admitted]);
    };
    persistence.incomingStorePacket = async (client, packet) => this.#begin(client.id, packet);
    persistence.incomingGetPacket = async (client, packet) => this.#find(client.id, packet);
    persistence.incomingDelPacket = async (client, packet) => this.#finish(client.id, this.#find(client.id, packet));
    persistence.cleanIncoming = async (client) => {
      this.#halfDoneCount -= this.#halfDone.get(client.id)?.size ?? 0;
      this.#halfDone.delete(client.id);
    };
    aedes.on('unsubscribe', (topics, client) => {
      const session = this.#sessions.get(client.id);
      if (session?.client === client) for (const topic of topics) this.#drop(session, topic);
    });
  }

  /** A client was let in. Beyond the bound its session ends with its connection, whatever it asked for. */
  open(client: Client): void {
    this.#forget(client.id);
    this.#sessions.set(client.id, { client, topics: new Set() });
    if (client.clean || this.#lasting.has(client.id)) return;
    if (this.#lasting.size < this.bounds.sessions) this.#lasting.add(client.id);
    else {
      client.clean = true;
      this.refused++;
    }
  }

  /** Its connection is closed. */
  close(client: Client): void {
    if (client.clean && this.#sessions.get(client.id)?.client === client) this.#forget(client.id);
  }

  /** Whether there is room for it; to be asked last, of what is allowed otherwise. */
  admit(client: Client, subscription: Subscription): boolean {
    const topics = this.#sessions.get(client.id)?.topics;
    const { topic } = subscription;
    if (!topics || (!topics.has(topic) && (topics.size >= this.bounds.subscriptions || this.#subscriptionBytes + costOf(topic) > this.bounds.subscriptionBytes))) {
      this.refused++;
      return false;
    }
    if (!topics.has(topic)) {
      topics.add(topic);
      this.#subscriptionBytes += costOf(topic);
    }
    this.#admitted = subscription;
    return true;
  }

  #drop({ topics }: Session, topic: string): void {
    if (topics.delete(topic)) this.#subscriptionBytes -= costOf(topic);
  }

  #forget(clientId: string): void {
    const session = this.#sessions.get(clientId);
    if (!session) return;
    for (const topic of session.topics) this.#drop(session, topic);
    this.#sessions.delete(clientId);
  }

  #begin(clientId: string, { messageId }: Numbered): void {
    const ids = this.#halfDone.get(clientId) ?? new Set();
    if (messageId === undefined || ids.has(messageId)) return;
    // Ends the connection: MQTT 3.1.1 has no other way to refuse.
    if (this.#halfDoneCount >= this.bounds.halfDone) throw new Error('too many messages of QoS 2 are not finished');
    this.#halfDone.set(clientId, ids.add(messageId));
    this.#halfDoneCount++;
  }

  #find(clientId: string, { messageId }: Numbered): Numbered {
    if (messageId === undefined || !this.#halfDone.get(clientId)?.has(messageId)) throw new Error('no such packet');
    return { messageId };
  }

  #finish(clientId: string, { messageId }: Numbered): void {
    const ids = this.#halfDone.get(clientId);
    if (!ids?.delete(messageId!)) return;
    this.#halfDoneCount--;
    if (ids.size === 0) this.#halfDone.delete(clientId);
  }
}

function costOf(topic: string): number {
  return topic.length + SUBSCRIPTION_BYTES;
}
