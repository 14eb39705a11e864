/** What the decoders write into: the sequencer, which finds the series, refuses what is over a limit, and fills the batch. */
export interface ReadingSink {
  /** True when the batch has no room for another message: stop draining. */
  readonly full: boolean;
  /**
   * Opens a message of one device. `timestampMs` is NaN where the message has none; `receivedMs` is when it came in.
   * Returns false when the message is refused as a whole (counted by the sink); then neither `add` nor `end` is called.
   */
  begin(device: string, timestampMs: number, receivedMs: number, tags?: Record<string, string>): boolean;
  /** One reading of the open message. A value that is not finite is refused and counted. Returns whether it was taken. */
  add(metric: string, value: number): boolean;
  end(): void;
}

/**
 * A source of readings. It queues what comes in (bounded, in items and bytes; past the bound it slows its peer), hands it on when it is drained, and acknowledges
 * it only when told that it is durable.
 */
export interface Source {
  readonly name: string;
  /** Connects. `wake` is called whenever something waits to be drained. */
  open(wake: () => void): Promise<void>;
  /** Decodes what waits into the sink until it is full or nothing waits. Returns a ticket: the number of messages drained since the start. */
  drain(sink: ReadingSink): number;
  /** All messages up to this ticket are durable: acknowledge them to the peer. */
  settle(ticket: number): void;
  /** Messages that wait; shown on the page and in /metrics. */
  readonly waiting: number;
  /** Where the source is in its own stream, kept in the journal with what was read (Kafka offsets). */
  positions?(): { partition: string; position: string }[];
  /** How many messages the peer holds that were not taken yet, by partition (Kafka). */
  lag?(): { partition: string; messages: number }[];
  status(): SourceStatus;
  /** Stops taking messages in; what was drained may still be settled. */
  pause(): Promise<void>;
  close(): Promise<void>;
}

export interface SourceStatus {
  state: 'connecting' | 'connected' | 'disconnected' | 'stopped';
  /** Never with a password. */
  address: string;
  detail: string | null;
  received: number;
}
