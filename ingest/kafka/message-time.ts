import type { ReadingSink } from '../../core/source.js';

/** Gives a message without a time of its own that of the Kafka message (its `receivedMs`): with `time: event` nothing else says when it was. */
export class MessageTime implements ReadingSink {
  #sink!: ReadingSink;

  before(sink: ReadingSink): this {
    this.#sink = sink;
    return this;
  }

  get full(): boolean {
    return this.#sink.full;
  }

  begin(device: string, timestampMs: number, receivedMs: number, tags?: Record<string, string>): boolean {
    return this.#sink.begin(device, timestampMs !== timestampMs ? receivedMs : timestampMs, receivedMs, tags);
  }

  add(metric: string, value: number): boolean {
    return this.#sink.add(metric, value);
  }

  end(): void {
    this.#sink.end();
  }
}
