import type { KafkaMessage } from 'kafkajs';
import { Cell } from '../../cluster/cell.js';
import { Outcome, OutcomeWriter } from '../../cluster/outcome.js';
import { packSnapshot, unpackSnapshot } from '../../cluster/snapshot.js';
import { crc32 } from 'node:zlib';
import { DEFAULT_LIMITS } from '../../core/limits.js';
import { ReasonCounters } from '../../core/reasons.js';
import { DEFAULT_DECODER_SETTINGS } from '../../ingest/decode/index.js';
import { ReadingLines } from '../../store/results/line.js';
import { table } from '../table.js';

/**
 * What a partition of `mode: cluster` costs, without broker and store: CPU time a reading of each part of the way, and the size of its state. Constants of "Scale on paper" in ARCHITECTURE.md.
 *
 *   npx tsx bench/kafka/cell.ts [DEVICES] [TURNS]
 */
const devices = Number(process.argv[2] ?? 2000);
const turns = Number(process.argv[3] ?? 100);
const START_MS = Date.UTC(2026, 0, 1);

const open = (): Promise<Cell> => Cell.open({
  topic: 't', partition: 0, limits: DEFAULT_LIMITS, decoder: DEFAULT_DECODER_SETTINGS, naming: { device: 'payload', tagHeaders: [] }, time: 'event', detector: { backend: 'wasm' }, reasons: new ReasonCounters(),
});

function messagesOf(turn: number): KafkaMessage[] {
  return Array.from({ length: devices }, (_, d): KafkaMessage => {
    const atMs = START_MS + turn * 60_000 + Math.floor((d * 60_000) / devices);
    return {
      key: Buffer.from(`machine-${d}`), value: Buffer.from(`{"timestamp":${atMs},"temperature":${(20 + Math.sin(turn / 7 + d) + ((d * 7919 + turn * 104_729) % 1000) / 2000).toFixed(3)}}`),
      timestamp: String(atMs), offset: String(turn * devices + d), attributes: 0, headers: {},
    };
  });
}

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const cell = await open();
const writer = new OutcomeWriter({ results: { topic: 'r', partitions: 1 }, events: { topic: 'e', partitions: 1 }, deadLetters: undefined }, cell.fleet, 0);
const lines = new ReadingLines();
const spent = { step: 0, json: 0, lines: 0 };
let readings = 0;
let bytes = 0;
for (let turn = 0; turn < turns; turn++) {
  const messages = messagesOf(turn);
  const outcome = new Outcome(0);
  const measured = turn >= turns / 2;
  cell.tell({ stepped: (batch) => outcome.add(batch), refused: () => undefined, retired: () => undefined });
  let from = cpuMs();
  const spend = (what: keyof typeof spent): void => {
    const now = cpuMs();
    if (measured) spent[what] += now - from;
    from = now;
  };
  cell.take(messages);
  cell.flush();
  spend('step');
  for (const request of writer.requestsOf(outcome)) for (const { messages: written } of request) for (const { value } of written) bytes += value!.length;
  spend('json');
  for (const batch of outcome.batches) {
    lines.begin(batch, cell.fleet);
    for (let row = 0; row < batch.n; row++) bytes += lines.lineOf(batch, row).length;
  }
  spend('lines');
  if (measured) readings += messages.length;
}
const saved = cell.save();
const raw = saved.shard.reduce((sum, { length }) => sum + length, 0);
let from = cpuMs();
const packed = await packSnapshot(saved);
const packMs = cpuMs() - from;
const other = await open();
from = cpuMs();
await unpackSnapshot(packed, crc32(packed), other);
const unpackMs = cpuMs() - from;
const us = (ms: number): string => ((1000 * ms) / readings).toFixed(2);
console.log(`${devices} devices of one metric, ${turns} readings each, the second half measured; ${bytes > 0 ? 'CPU us a reading' : ''}`);
console.log(table([
  ['part', 'figure'], ['decode, sequence, detector', us(spent.step)], ['results as JSON', us(spent.json)], ['results as lines', us(spent.lines)],
  ['state, B a series (device included)', Math.round(raw / devices)], ['in a snapshot, B', Math.round(packed.length / devices)], ['snapshot written, CPU us a series', ((1000 * packMs) / devices).toFixed(1)],
  ['snapshot loaded, CPU us a series', ((1000 * unpackMs) / devices).toFixed(1)],
]));
