import type { ReadingSink } from '../../core/source.js';
import type { Intake } from '../intake.js';
import { printable } from '../names.js';
import type { Message } from './message.js';
import { globMatches } from './glob.js';

/** Which devices and metrics are wanted; `*` in a pattern stands for any run of characters. */
export interface NameFilter {
  excludeDevices: string[];
  excludeMetrics: string[];
}

/**
 * What dialects write to: puts in what the topic says (device, tags, prefix), leaves out what the configuration excludes, and hands the rest to the sink.
 */
export class Output {
  readonly #intake: Intake;
  readonly #filter: NameFilter;
  readonly #filtered: boolean;
  #sink!: ReadingSink;
  #message!: Message;
  #prefix: string | undefined;

  constructor(intake: Intake, filter: NameFilter) {
    this.#intake = intake;
    this.#filter = filter;
    this.#filtered = filter.excludeDevices.length > 0 || filter.excludeMetrics.length > 0;
  }

  open(message: Message, sink: ReadingSink): void {
    this.#message = message;
    this.#sink = sink;
    this.#prefix = message.route.metricPrefix;
  }

  /** A message with names in it. `device` is the payload's own name for it; `timestampMs` NaN where it has none. */
  begin(device: string | undefined, timestampMs: number, tags: Record<string, string> | undefined): boolean {
    const route = this.#message.route;
    return this.#begin(route.deviceIsFixed ? route.device : device ?? route.device, timestampMs, tags);
  }

  /** A bare value: device and metric are in the topic. */
  scalar(value: number): void {
    const { scalarDevice, scalarMetric } = this.#message.route;
    if (scalarMetric === undefined) {
      this.#intake.refuse('no_device', 'a bare value needs a topic that ends in device/metric');
      return;
    }
    if (!this.#begin(scalarDevice, NaN, undefined)) return;
    if (!this.#excludes(scalarMetric)) this.#sink.add(scalarMetric, value);
    this.#sink.end();
  }

  add(metric: string, value: number): void {
    const name = this.#prefix === undefined ? metric : metric === 'value' ? this.#prefix : `${this.#prefix}.${metric}`;
    if (this.#filtered && this.#excludes(name)) return;
    this.#sink.add(name, value);
  }

  end(): void {
    this.#sink.end();
  }

  #begin(device: string | undefined, timestampMs: number, tags: Record<string, string> | undefined): boolean {
    if (device === undefined) {
      this.#intake.refuse('no_device', 'neither the topic nor the payload names a device');
      return false;
    }
    const message = this.#message;
    if (message.retained && timestampMs !== timestampMs) {
      this.#intake.note('retained', '');
      return false;
    }
    if (this.#filtered && this.#filter.excludeDevices.some((pattern) => globMatches(pattern, device))) {
      this.#intake.note('excluded', `device ${printable(device)}`);
      return false;
    }
    const routeTags = message.route.tags;
    return this.#sink.begin(device, timestampMs, message.receivedMs, routeTags === undefined ? tags : tags === undefined ? routeTags : { ...routeTags, ...tags });
  }

  #excludes(metric: string): boolean {
    if (!this.#filtered || !this.#filter.excludeMetrics.some((pattern) => globMatches(pattern, metric))) return false;
    this.#intake.note('excluded', `metric ${printable(metric)}`);
    return true;
  }
}
