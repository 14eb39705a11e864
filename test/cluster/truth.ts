import { crc32 } from 'node:zlib';
import { loadConfig } from '../../config/load.js';
import { ReasonCounters } from '../../core/reasons.js';
import { Cell } from '../../cluster/cell.js';
import { Outcome, OutcomeWriter } from '../../cluster/outcome.js';
import { decoderSettingsOf, detectorOptionsOf, limitsOf } from '../../wiring.js';
import type { KafkaServer } from '../servers/kafka.js';
import { readThrough } from './read.js';

/** What the topics hold: results as a sum each, in order of the sums; the newest of each event; the dead letters. */
export interface Found {
  /** Two sums of a message in one number, sorted: the same messages the same number of times give the same array. */
  results: Float64Array;
  scored: number;
  events: Map<string, string>;
}

export class Collector {
  #sums = new Float64Array(1 << 16);
  #n = 0;
  scored = 0;
  readonly events = new Map<string, string>();

  result(value: Buffer): void {
    if (this.#n === this.#sums.length) {
      const grown = new Float64Array(this.#n * 2);
      grown.set(this.#sums);
      this.#sums = grown;
    }
    const sum = crc32(value);
    this.#sums[this.#n++] = sum * 2 ** 21 + (crc32(value, 0x5bd1e995) & (2 ** 21 - 1));
    if (value.includes('"scored":true')) this.scored++;
  }

  event(value: Buffer): void {
    this.events.set((JSON.parse(value.toString()) as { id: string }).id, value.toString());
  }

  get found(): Found {
    return { results: this.#sums.slice(0, this.#n).sort(), scored: this.scored, events: this.events };
  }
}

/** What a single, uninterrupted run makes of the input topic, partition by partition, cut into other batches than any fetch would. */
export async function truth(server: KafkaServer, topic: string, partitions: number, cut: number): Promise<Found & { messages: number; refused: number }> {
  const config = loadConfig({ environment: {}, overrides: { time: 'event', 'model.backend': 'wasm' } });
  const collector = new Collector();
  const cells: { cell: Cell; outcome: Outcome; writer: OutcomeWriter }[] = [];
  let [messages, refused] = [0, 0];
  for (let partition = 0; partition < partitions; partition++) {
    const cell = await Cell.open({
      topic, partition, limits: limitsOf(config), decoder: decoderSettingsOf(config), naming: { device: 'payload', tagHeaders: [] }, time: 'event',
      detector: { ...detectorOptionsOf(config, () => 'wasm'), settings: undefined }, reasons: new ReasonCounters(),
    });
    const topics = { results: { topic: 'results', partitions }, events: { topic: 'events', partitions }, deadLetters: undefined };
    const one = { cell, outcome: new Outcome(0), writer: new OutcomeWriter(topics, cell.fleet, partition) };
    cell.tell({ stepped: (batch) => one.outcome.add(batch), refused: () => { refused++; }, retired: () => undefined });
    cells.push(one);
  }
  await readThrough(server, topic, (partition, all) => {
    const one = cells[partition];
    messages += all.length;
    for (let at = 0; at < all.length; at += cut) {
      one.cell.take(all, at, Math.min(at + cut, all.length));
      one.cell.flush();
    }
    for (const request of one.writer.requestsOf(one.outcome)) {
      for (const { topic: to, messages: written } of request) {
        for (const { value } of written) {
          if (to === 'results') collector.result(Buffer.from(value!));
          else collector.event(Buffer.from(value!));
        }
      }
    }
    one.outcome = new Outcome(0);
  });
  return { ...collector.found, messages, refused };
}

/** What the output topics hold for a reader of committed messages. */
export async function committed(server: KafkaServer, resultsTopic: string, eventsTopic: string): Promise<Found> {
  const collector = new Collector();
  await readThrough(server, resultsTopic, (_, messages) => { for (const { value } of messages) collector.result(value!); });
  await readThrough(server, eventsTopic, (_, messages) => { for (const { value } of messages) collector.event(value!); });
  return collector.found;
}

/** Sums that one has and the other has not. */
export function compare(expected: Found, actual: Found): { missing: number; surplus: number; eventsDifferent: number } {
  let [missing, surplus, i, j] = [0, 0, 0, 0];
  while (i < expected.results.length || j < actual.results.length) {
    const [a, b] = [expected.results[i] ?? Infinity, actual.results[j] ?? Infinity];
    if (a === b) {
      i++;
      j++;
    } else if (a < b) {
      missing++;
      i++;
    } else {
      surplus++;
      j++;
    }
  }
  const ids = new Set([...expected.events.keys(), ...actual.events.keys()]);
  return { missing, surplus, eventsDifferent: [...ids].filter((id) => expected.events.get(id) !== actual.events.get(id)).length };
}
