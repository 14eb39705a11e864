/** A partition of an input topic, and how far it came. Offsets are below 2^53, so that a double holds them. */
export interface Partition {
  topic: string;
  partition: number;
  /** The offset to be read next; undefined until the first message. */
  next: number | undefined;
  /** The offset behind the last message that a batch holds. */
  drained: number | undefined;
  /** The offset behind the last message that is durable. */
  settled: number | undefined;
  /** What the group was told last. */
  committed: number | undefined;
  /** The offset behind the last message that the broker has, as far as it is known. */
  end: number;
}

/** Messages of one partition whose tickets follow each other. */
interface Run {
  partition: Partition;
  firstTicket: number;
  /** [n] offset of each message; they may have gaps (compaction, transactions). */
  offsets: Float64Array;
}

/** Which offsets belong to which tickets of the inlet: from what is drained and settled, where each partition stands. */
export class Progress {
  readonly #partitions = new Map<string, Partition>();
  /** In the order of their tickets, from the first that is not settled. */
  readonly #runs: Run[] = [];
  #moved = new Set<Partition>();

  /** `resume` has positions as the journal holds them, by `TOPIC/PARTITION`. */
  constructor(private readonly resume: ReadonlyMap<string, string>) {}

  partition(topic: string, partition: number): Partition {
    const key = `${topic}/${partition}`;
    let found = this.#partitions.get(key);
    if (found === undefined) {
      const position = Number(this.resume.get(key) ?? NaN);
      const known = Number.isSafeInteger(position) ? position : undefined;
      found = { topic, partition, next: known, drained: known, settled: known, committed: undefined, end: 0 };
      this.#partitions.set(key, found);
    }
    return found;
  }

  get partitions(): Iterable<Partition> {
    return this.#partitions.values();
  }

  /** `offsets` were pushed, the first of them with this ticket. */
  pushed(partition: Partition, firstTicket: number, offsets: Float64Array): void {
    if (offsets.length === 0) return;
    this.#runs.push({ partition, firstTicket, offsets });
    partition.next = offsets[offsets.length - 1] + 1;
  }

  /** Where the message with this ticket comes from, while it is not settled. */
  find(ticket: number): { partition: Partition; offset: number } | undefined {
    const run = this.#runs.find(({ firstTicket, offsets }) => ticket < firstTicket + offsets.length);
    return run && ticket >= run.firstTicket ? { partition: run.partition, offset: run.offsets[ticket - run.firstTicket] } : undefined;
  }

  /** All messages before this ticket are with a batch. */
  drainedTo(ticket: number): void {
    for (const { partition, firstTicket, offsets } of this.#runs) {
      if (firstTicket >= ticket) return;
      const position = offsets[Math.min(ticket - firstTicket, offsets.length) - 1] + 1;
      if (partition.drained === position) continue;
      partition.drained = position;
      this.#moved.add(partition);
    }
  }

  /** All messages before this ticket are durable. */
  settledTo(ticket: number): void {
    while (this.#runs.length > 0) {
      const { partition, firstTicket, offsets } = this.#runs[0];
      if (firstTicket >= ticket) return;
      partition.settled = offsets[Math.min(ticket - firstTicket, offsets.length) - 1] + 1;
      if (firstTicket + offsets.length > ticket) return;
      this.#runs.shift();
    }
  }

  /** Where the partitions stand of which something was drained since the last call. */
  takeMoved(): { partition: string; position: string }[] {
    const moved = [...this.#moved].map(({ topic, partition, drained }) => ({ partition: `${topic}/${partition}`, position: String(drained) }));
    this.#moved.clear();
    return moved;
  }
}
