import type { Limits } from '../../core/limits.js';
import type { ReadingSink } from '../../core/source.js';
import type { Intake } from '../intake.js';
import type { Dialect, DialectMaker } from './dialect.js';
import type { Message, Named } from './message.js';
import { JsonDialect } from './json.js';
import { LineDialect } from './line.js';
import { Output, type NameFilter } from './output.js';
import { ScalarDialect } from './scalar.js';
import { Topics, type Route, type TopicSettings } from './topics.js';

export interface DecoderSettings extends TopicSettings, NameFilter {}

export const DEFAULT_DECODER_SETTINGS: DecoderSettings = { rules: [], include: [], exclude: [], excludeDevices: [], excludeMetrics: [] };

/** In the order in which they are asked, JSON before them. A new dialect is a file beside this one and a line here. */
const DIALECTS: DialectMaker[] = [
  (intake) => new LineDialect(intake),
  (intake) => new ScalarDialect(intake),
];

/** Turns payloads into readings: finds out what the topic says, which dialect the payload is in, and lets that one write. */
export class Decoder {
  readonly #intake: Intake;
  readonly #limits: Limits;
  readonly #topics: Topics;
  readonly #json: JsonDialect;
  readonly #dialects: Dialect[];
  readonly #output: Output;
  /** Filled anew for each payload. */
  readonly #named: Route = { device: undefined, deviceIsFixed: false, scalarDevice: undefined, scalarMetric: undefined, metricPrefix: undefined, tags: undefined, excluded: false, levels: 0 };
  readonly #message: Message = { route: undefined as unknown as Route, payload: new Uint8Array(0), receivedMs: 0, retained: false };

  /** Sources that read many devices from one topic ask for it again and again. */
  #lastTopic: string | undefined;
  #lastRoute: Route | undefined;

  constructor(intake: Intake, limits: Limits, settings: DecoderSettings = DEFAULT_DECODER_SETTINGS) {
    this.#intake = intake;
    this.#limits = limits;
    this.#topics = new Topics(settings);
    this.#json = new JsonDialect(intake, limits);
    this.#dialects = [this.#json, ...DIALECTS.map((make) => make(intake, limits))];
    this.#output = new Output(intake, settings);
  }

  /** Never throws; what cannot be read is reported to the intake. `topic` is '' where the source has none. */
  decode(topic: string, payload: Uint8Array, receivedMs: number, sink: ReadingSink, retained = false, named?: Named): void {
    if (payload.length > this.#limits.payloadBytes) {
      this.#intake.refuse('payload_too_large', `${payload.length} bytes`);
      return;
    }
    if (payload[0] === 0xef && payload[1] === 0xbb && payload[2] === 0xbf) payload = payload.subarray(3); // a byte order mark
    const route = this.#topics.route(topic);
    if (route.levels > this.#limits.topicLevels) {
      this.#intake.refuse('too_many_topic_levels', `the topic has ${route.levels} levels`);
      return;
    }
    if (route.excluded) {
      this.#intake.note('excluded', 'topic');
      return;
    }
    const message = this.#message;
    message.route = named === undefined ? route : this.#withNames(topic, route, named);
    message.payload = payload;
    message.receivedMs = receivedMs;
    message.retained = retained;
    this.#output.open(message, sink);
    let first = 0;
    while (first < payload.length && payload[first] <= 0x20) first++;
    for (const dialect of this.#dialects) {
      if (!dialect.matches(payload, payload[first])) continue;
      dialect.decode(message, this.#output);
      return;
    }
  }

  /** The same of the bytes [start, end), which lie among others: where they are a flat JSON message no view of them is made. */
  decodeAt(topic: string, bytes: Uint8Array, start: number, end: number, receivedMs: number, sink: ReadingSink, named: Named): void {
    if (bytes[start] === 0x7b && end - start <= this.#limits.payloadBytes) {
      const route = topic === this.#lastTopic ? this.#lastRoute! : this.#topics.route(topic);
      this.#lastTopic = topic;
      this.#lastRoute = route;
      if (!route.excluded && route.levels <= this.#limits.topicLevels) {
        const message = this.#message;
        message.route = this.#withNames(topic, route, named);
        message.receivedMs = receivedMs;
        message.retained = false;
        this.#output.open(message, sink);
        if (this.#json.decodeFlat(bytes, start, end, this.#output)) return;
      }
    }
    this.decode(topic, bytes.subarray(start, end), receivedMs, sink, false, named);
  }

  /** The route of a source whose topics hold many devices; a bare value is the metric that the topic is called. */
  #withNames(topic: string, route: Route, { device, deviceIsFixed, tags }: Named): Route {
    const named = this.#named;
    named.device = route.deviceIsFixed ? route.device : device;
    named.deviceIsFixed = route.deviceIsFixed || (deviceIsFixed && device !== undefined);
    named.scalarDevice = route.deviceIsFixed ? route.scalarDevice : device;
    named.scalarMetric = route.scalarMetric ?? topic;
    named.metricPrefix = route.metricPrefix;
    named.tags = tags === undefined ? route.tags : route.tags === undefined ? tags : { ...route.tags, ...tags };
    return named;
  }
}
