import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { loadConfig } from '../../config/load.js';
import { systemClock } from '../../core/clock.js';
import { Fleet } from '../../core/fleet.js';
import { silentLog } from '../../core/log.js';
import { ReasonCounters } from '../../core/reasons.js';
import { openGruard } from '../../gruard.js';
import { collectSeldom } from '../../heap.js';
import { Decoder } from '../../ingest/decode/index.js';
import { Intake } from '../../ingest/intake.js';
import { KafkaSource } from '../../ingest/kafka.js';
import { Sequencer } from '../../ingest/sequence.js';
import { openDetector } from '../../model/detector.js';
import { Pipeline } from '../../pipeline.js';
import { RealDisk } from '../../store/disk/real.js';
import { Journal } from '../../store/journal.js';
import { decoderSettingsOf, detectorOptionsOf, kafkaSettingsOf, limitsOf } from '../../wiring.js';

/** One reader of the topic in a process of its own, so that its CPU time is its own: `node consumer.ts TASK`; one line of JSON figures on stdout. */
export interface ReaderTask {
  kind: 'bare' | 'journal' | 'store';
  broker: string;
  topic: string;
  group: string;
  /** In the topic; the first half warms up. */
  messages: number;
  /** Where a .cpuprofile of the measured half goes. */
  profile?: string;
}

export interface ReaderFigures {
  readings: number;
  cpuS: number;
  wallS: number;
}

interface Reader {
  readings(): number;
  /** Records that the store has still to take. */
  behind(): number;
  settled(): boolean;
  close(): Promise<void>;
}

/** What a tutorial does: `eachBatch`, JSON.parse, nothing kept. */
async function bare({ broker, topic, group }: ReaderTask): Promise<Reader> {
  let readings = 0;
  const consumer = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING }).consumer({ groupId: group, maxWaitTimeInMs: 500 });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    eachBatch: async ({ batch }) => {
      for (const { value } of batch.messages) {
        const parsed = JSON.parse(value!.toString()) as Record<string, number>;
        for (const key in parsed) if (key !== 'timestamp') readings++;
      }
    },
  });
  return { readings: () => readings, behind: () => 0, settled: () => true, close: () => consumer.disconnect() };
}

function configOf({ broker, topic, group }: ReaderTask, dir: string): ReturnType<typeof loadConfig> {
  return loadConfig({
    environment: {},
    overrides: { data_dir: dir, 'api.port': 0, 'kafka.brokers': [broker], 'kafka.topics': [topic], 'kafka.group_id': group, 'model.backend': 'wasm' },
  });
}

/** All of gruard: detector, journal, embedded store. */
async function store(task: ReaderTask, dir: string): Promise<Reader> {
  const running = await openGruard(configOf(task, dir), silentLog);
  const value = (name: string): number => running.service.measures().find((measure) => measure.name === name)!.values.reduce((sum, { value: v }) => sum + v, 0);
  const behind = (): number => value('gruard_follower_lag_records');
  return { readings: () => value('gruard_readings_total'), behind, settled: () => value('gruard_source_waiting') === 0 && behind() === 0, close: () => running.close() };
}

/** Detector and journal, without store, snapshots and API. */
async function journalAlone(task: ReaderTask, dir: string): Promise<Reader> {
  collectSeldom();
  const config = configOf(task, dir);
  const limits = limitsOf(config);
  const fleet = new Fleet();
  const intake = new Intake(new ReasonCounters(), () => undefined);
  const sequencer = new Sequencer(fleet, intake, { limits, clock: systemClock, time: config.time });
  const journal = new Journal({ disk: new RealDisk(dir), maxBytes: config.journal.max_bytes, segmentBytes: config.journal.segment_bytes, clock: systemClock });
  await journal.open();
  const pipeline = new Pipeline({
    fleet, sequencer, detector: await openDetector(fleet, detectorOptionsOf(config, () => 'wasm')), journal, clock: systemClock, commitDelayMs: config.journal.commit_delay_ms,
    onStepped: () => undefined, onCommitted: () => undefined, onRetire: () => undefined,
  });
  const source = new KafkaSource({ decoder: new Decoder(intake, limits, decoderSettingsOf(config)), intake, limits }, systemClock, kafkaSettingsOf(config)!);
  pipeline.addSource(source);
  pipeline.start();
  await source.open(pipeline.wake);
  return {
    readings: () => pipeline.readings,
    behind: () => 0,
    settled: () => source.waiting === 0,
    close: async () => {
      await source.pause();
      await pipeline.stop();
      await source.close();
      await journal.close();
    },
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

async function measure(reader: Reader, { kind, messages, profile }: ReaderTask): Promise<ReaderFigures> {
  const session = new Session();
  // Then from a moment at which the store has all but the newest: at the end it will have all, and what it was behind before is no work of the measured half.
  while (reader.readings() < messages / 2 || (reader.behind() > 1 && reader.readings() < 0.6 * messages)) await pause(2);
  if (profile) {
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
  }
  const from = { readings: reader.readings(), cpu: process.cpuUsage(), at: performance.now() };
  while (reader.readings() < messages || !reader.settled()) await pause(20);
  const cpu = process.cpuUsage(from.cpu);
  if (profile) writeFileSync(join(profile, `kafka-${kind}.cpuprofile`), JSON.stringify((await session.post('Profiler.stop')).profile));
  return { readings: reader.readings() - from.readings, cpuS: (cpu.user + cpu.system) / 1e6, wallS: (performance.now() - from.at) / 1000 };
}

const task = JSON.parse(process.argv[2]) as ReaderTask;
const dir = mkdtempSync(join(tmpdir(), 'gruard-bench-'));
const reader = await (task.kind === 'bare' ? bare(task) : task.kind === 'store' ? store(task, dir) : journalAlone(task, dir));
process.send!(await measure(reader, task));
await reader.close();
rmSync(dir, { recursive: true, force: true });
process.disconnect();
