import type { Random } from '../../core/random.js';
import type { ReadingSink, Source, SourceStatus } from '../../core/source.js';
import type { VirtualTime } from './time.js';

export interface Message {
  device: string;
  timestampMs: number;
  metrics: [string, number][];
}

const MOST_IN_FLIGHT = 40;

/**
 * A broker at QoS 1 with one persistent session: it sends in order, forgets a message only when its acknowledgement arrives, and after a broken
 * connection sends again, first and in order, everything that it has not forgotten.
 */
export class SimulatedBroker {
  readonly #queue: Message[] = [];
  #inFlight: Message[] = [];
  #connection: Connection | undefined;
  /** Messages whose acknowledgement has arrived: from then on only gruard has them. */
  readonly acknowledged = new Set<Message>();
  sentAgain = 0;

  constructor(private readonly time: VirtualTime, private readonly random: Random) {}

  publish(message: Message): void {
    this.#queue.push(message);
    this.#send();
  }

  get empty(): boolean {
    return this.#queue.length === 0 && this.#inFlight.length === 0;
  }

  connect(): Source {
    this.disconnect();
    this.#connection = new Connection((message) => this.#acknowledge(message));
    this.#send();
    return this.#connection;
  }

  /** Acknowledgements on their way are lost. */
  disconnect(): void {
    if (this.#connection) this.#connection.broken = true;
    this.#connection = undefined;
    this.#sendAgain();
  }

  /** The network fails, both ends live: the same source gets again what it has not acknowledged. */
  interrupt(): void {
    const connection = this.#connection;
    if (!connection) return;
    connection.epoch++;
    this.#sendAgain();
    this.#send();
  }

  #sendAgain(): void {
    this.sentAgain += this.#inFlight.length;
    this.#queue.unshift(...this.#inFlight.splice(0));
  }

  #send(): void {
    const connection = this.#connection;
    while (connection && this.#queue.length > 0 && this.#inFlight.length < MOST_IN_FLIGHT) {
      const message = this.#queue.shift()!;
      this.#inFlight.push(message);
      connection.receive(message);
    }
  }

  #acknowledge(message: Message): void {
    const connection = this.#connection!;
    const { epoch } = connection;
    this.time.schedule(this.random() * 3, () => {
      if (connection.broken || connection.epoch !== epoch) return;
      const at = this.#inFlight.indexOf(message);
      if (at < 0) return;
      this.#inFlight.splice(at, 1);
      this.acknowledged.add(message);
      this.#send();
    });
  }
}

class Connection implements Source {
  readonly name = 'simulated';
  broken = false;
  epoch = 0;
  #wake: () => void = () => undefined;
  readonly #received: { message: Message; epoch: number }[] = [];
  readonly #drained: { message: Message; epoch: number }[] = [];
  #ticket = 0;
  #settled = 0;

  constructor(private readonly acknowledge: (message: Message) => void) {}

  receive(message: Message): void {
    this.#received.push({ message, epoch: this.epoch });
    this.#wake();
  }

  async open(wake: () => void): Promise<void> {
    this.#wake = wake;
    wake();
  }

  drain(sink: ReadingSink): number {
    while (!this.broken && this.#received.length > 0 && !sink.full) {
      const received = this.#received.shift()!;
      const { device, timestampMs, metrics } = received.message;
      if (sink.begin(device, timestampMs, timestampMs)) {
        for (const [metric, value] of metrics) sink.add(metric, value);
        sink.end();
      }
      this.#drained.push(received);
      this.#ticket++;
    }
    return this.#ticket;
  }

  settle(ticket: number): void {
    for (; this.#settled < ticket; this.#settled++) {
      const { message, epoch } = this.#drained.shift()!;
      // An acknowledgement is good for the connection on which its message came.
      if (!this.broken && epoch === this.epoch) this.acknowledge(message);
    }
  }

  get waiting(): number {
    return this.broken ? 0 : this.#received.length;
  }

  status(): SourceStatus {
    return { state: 'connected', address: 'simulated', detail: null, received: this.#ticket };
  }

  async pause(): Promise<void> {
    this.broken = true;
  }

  async close(): Promise<void> {
    this.broken = true;
  }
}
