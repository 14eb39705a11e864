import type { ReadingSink } from '../core/source.js';

interface StagedMessage {
  device: string;
  timestampMs: number;
  receivedMs: number;
  tags: Record<string, string> | undefined;
  /** First place in the columns; the next message's first is this one's end. */
  from: number;
}

/** A payload that may hold more than one batch has room for: decoded here first, then poured on message by message, as far as there is room. */
export class StagedPayload implements ReadingSink {
  readonly full = false;
  readonly #messages: StagedMessage[] = [];
  readonly #metrics: string[] = [];
  readonly #values: number[] = [];
  #poured = 0;

  begin(device: string, timestampMs: number, receivedMs: number, tags?: Record<string, string>): boolean {
    this.#messages.push({ device, timestampMs, receivedMs, tags, from: this.#metrics.length });
    return true;
  }

  add(metric: string, value: number): boolean {
    this.#metrics.push(metric);
    this.#values.push(value);
    return true;
  }

  end(): void {
    // The next message's beginning is this one's end.
  }

  /** Returns true when all is poured. */
  pour(sink: ReadingSink): boolean {
    while (this.#poured < this.#messages.length) {
      if (sink.full) return false;
      const message = this.#messages[this.#poured++];
      const to = this.#messages[this.#poured]?.from ?? this.#metrics.length;
      if (!sink.begin(message.device, message.timestampMs, message.receivedMs, message.tags)) continue;
      for (let i = message.from; i < to; i++) sink.add(this.#metrics[i], this.#values[i]);
      sink.end();
    }
    return true;
  }
}
