import type { Batch } from '../../core/batch.js';
import type { Detector } from '../../core/detector.js';
import { Fleet } from '../../core/fleet.js';
import { DEFAULT_LIMITS } from '../../core/limits.js';
import { seededRandom, type Random } from '../../core/random.js';
import { ReasonCounters } from '../../core/reasons.js';
import { Intake } from '../../ingest/intake.js';
import { Sequencer } from '../../ingest/sequence.js';
import { Pipeline, type Recorder } from '../../pipeline.js';
import { withCursor } from './with-cursor.js';
import { SimulatedDisk } from '../../store/disk/simulated.js';
import { Follower, type FollowerTarget } from '../../store/follower.js';
import { Journal } from '../../store/journal.js';
import { replay } from '../../store/replay.js';
import { Snapshots } from '../../store/snapshot.js';
import { SimulatedBroker, type Message } from './broker.js';
import { SmallDetector } from './detector.js';
import { MemoryStore } from './store.js';
import { VirtualTime } from './time.js';

/** Ways to break the guarantee on purpose: each must be found, or the simulation proves nothing. */
export type Mutant = 'acknowledge before commit' | 'no fdatasync' | 'cursor after unlink' | 'step again after a failed commit' | 'snapshot before commit';

export interface WorldOptions {
  seed: number;
  messages?: number;
  mutant?: Mutant;
  makeDetector?: (fleet: Fleet) => Promise<Detector>;
  /** Crash, once, at this operation of the disk (counted from 1), and nothing else goes wrong. */
  crashAt?: { operation: number; power: boolean };
}

export interface Outcome {
  seed: number;
  violations: string[];
  readings: number;
  crashes: number;
  sentAgain: number;
  failedCommits: number;
  /** Operations of the disk, each of which a crash can hit. */
  operations: number;
  /** Hours of virtual time. */
  hours: number;
}

/** One process: everything that a kill takes away. */
interface Process {
  fleet: Fleet;
  detector: Detector;
  journal: Journal;
  pipeline: Pipeline;
  snapshots: Snapshots;
  followers: Follower[];
}

const START_MS = 1_700_000_000_000;
const MOST_MS = 3_600_000;

/** Runs gruard's own stages in a world where everything fails, and holds what came out against a run in which nothing did. */
export async function simulate(options: WorldOptions): Promise<Outcome> {
  const world = new World(options);
  return world.run();
}

class World {
  readonly #random: Random;
  readonly #time = new VirtualTime(START_MS);
  readonly #disk: SimulatedDisk;
  readonly #broker: SimulatedBroker;
  readonly #store: MemoryStore;
  readonly #sent = new Set<string>();
  readonly #messages: Message[];
  readonly #violations: string[] = [];
  #process: Process | undefined;
  #generation = 0;
  #crashes = 0;
  #operations = 0;
  #failedCommits = 0;
  #calm = false;

  constructor(private readonly options: WorldOptions) {
    this.#random = seededRandom(options.seed);
    this.#disk = new SimulatedDisk(seededRandom(options.seed + 1), this.#time.schedule, { forgetSync: options.mutant === 'no fdatasync' });
    this.#broker = new SimulatedBroker(this.#time, seededRandom(options.seed + 2));
    this.#store = new MemoryStore(seededRandom(options.seed + 3));
    this.#messages = makeMessages(seededRandom(options.crashAt ? 1 : options.seed + 4), options.messages ?? 150);
    this.#disk.onOperation = () => this.#countOperation();
  }

  async run(): Promise<Outcome> {
    this.#start();
    this.#messages.forEach((message, i) => this.#time.schedule(i * 20, () => this.#broker.publish(message)));
    if (!this.options.crashAt) this.#planTrouble();
    const lastMs = this.#messages.length * 20 + 1000;
    await this.#time.run(() => false, lastMs);
    this.#stopTrouble();
    if (!await this.#time.run(() => this.#caughtUp(), MOST_MS)) this.#violations.push(`not caught up: ${this.#where()}`);
    // What a store that has everything cannot show: whether the state on disk is that of an uninterrupted run.
    this.#crash(this.#random() < 0.5);
    this.#start();
    if (!await this.#time.run(() => this.#process !== undefined, MOST_MS)) this.#violations.push('does not start any more');
    await this.#check();
    this.#abandon();
    return {
      seed: this.options.seed, violations: this.#violations, readings: this.#store.readings.size, crashes: this.#crashes, sentAgain: this.#broker.sentAgain,
      failedCommits: this.#failedCommits, operations: this.#operations, hours: (this.#time.nowMs() - START_MS) / 3_600_000,
    };
  }

  /** Starts a process as gruard does; it is `#process` once it is up. */
  #start(): void {
    const generation = ++this.#generation;
    // A data directory has one process: what was still starting is gone.
    this.#disk.kill();
    this.#open(generation).catch((error: unknown) => {
      if (generation !== this.#generation) return;
      // The disk failed while it was read: the service manager starts it again.
      this.#time.schedule(500, () => generation === this.#generation && this.#start());
      if (this.#calm) this.#violations.push(`start failed: ${String(error)}`);
    });
  }

  async #open(generation: number): Promise<void> {
    const disk = this.#disk.attach();
    const { mutant } = this.options;
    const timing = { clock: this.#time, sleep: this.#time.sleep, random: seededRandom(this.options.seed + generation) };
    const fleet = new Fleet();
    const detector = await (this.options.makeDetector ?? (async () => new SmallDetector(fleet)))(fleet);
    const sequencer = new Sequencer(fleet, new Intake(new ReasonCounters(), () => undefined), { limits: DEFAULT_LIMITS, clock: this.#time, time: 'wall' });
    const journal = new (mutant === 'snapshot before commit' ? HastyJournal : Journal)({ disk, segmentBytes: 16_384, recentBytes: 20_000, ...timing });
    await journal.open();
    const snapshots = new Snapshots({ journal, fleet, parts: [sequencer.state, ...detector.parts], documents: detector.documents, devicesPerShard: 2, ...timing });
    await snapshots.load();
    const recorder: Recorder = { append: (batch) => this.#append(journal, detector, batch) };
    const pipeline = new Pipeline({
      fleet, sequencer, detector, journal: recorder, clock: this.#time, commitDelayMs: 0, ticks: false,
      onStepped: (batch) => snapshots.touched(batch), onCommitted: () => undefined, onRetire: () => undefined,
    });
    for await (const { sequence, batch, recorded, seen } of replay({ journal, snapshots, declare: (declarations) => pipeline.declare(declarations) })) {
      pipeline.replay(batch, { seen, events: recorded.events });
      this.#compareReplay(sequence, batch, recorded);
    }
    journal.reachTo(this.#store.position);
    if (generation !== this.#generation) return;
    const followers = [
      new Follower({ name: 'store', journal, target: this.#storeTarget(fleet, generation), rows: 64, ...timing }),
      new Follower({ name: 'alerts', journal, target: withCursor({ disk, name: 'alerts', clock: this.#time, send: async (batch) => this.#alert(batch) }), ...timing }),
    ];
    for (const follower of followers) follower.start();
    journal.startRemoving();
    snapshots.start(400);
    const source = this.#broker.connect();
    pipeline.addSource(source);
    pipeline.start();
    await source.open(pipeline.wake);
    this.#process = { fleet, detector, journal, pipeline, snapshots, followers };
  }

  #append(journal: Journal, detector: Detector, batch: Batch): Promise<number> {
    const durable = journal.append(batch);
    if (this.options.mutant === 'acknowledge before commit') return Promise.resolve(journal.appended);
    if (this.options.mutant === 'step again after a failed commit') {
      void this.#time.sleep(100).then(() => {
        if (journal.status().state === 'failing') detector.step(batch);
      });
    }
    return durable;
  }

  #storeTarget(fleet: Fleet, generation: number): FollowerTarget {
    const write = (batch: Batch, position: number): void => {
      if (generation === this.#generation) this.#store.write(batch, fleet, position);
    };
    return {
      position: async () => this.#store.position,
      apply: async (batch, position) => {
        await this.#time.sleep(this.#random() * 5);
        if (this.options.mutant !== 'cursor after unlink') return write(batch, position);
        // Says that it has the batch, and has it only later: what the journal has removed by then is nowhere.
        const copy = copyOf(batch);
        this.#later(() => write(copy, position));
      },
    };
  }

  #later(work: () => void): void {
    this.#time.schedule(300, () => {
      try {
        work();
      } catch {
        this.#later(work);
      }
    });
  }

  #alert(batch: Batch): boolean {
    for (const event of batch.events) this.#sent.add(`${event.id} ${event.state} ${event.updatedMs}`);
    return batch.events.length > 0;
  }

  /** A replayed reading must be given the score that the journal has. */
  #compareReplay(sequence: number, replayed: Batch, recorded: Batch): void {
    const scores = new Map<string, number>();
    for (let row = 0; row < recorded.n; row++) scores.set(`${recorded.seriesId[row]}@${recorded.timestampMs[row]}`, recorded.anomalyScore[row]);
    for (let row = 0; row < replayed.n; row++) {
      const key = `${replayed.seriesId[row]}@${replayed.timestampMs[row]}`;
      const score = scores.get(key);
      if (score !== replayed.anomalyScore[row]) this.#violate(`record ${sequence}: ${key} was scored ${score}, the replay says ${replayed.anomalyScore[row]}`);
    }
  }

  #planTrouble(): void {
    const random = this.#random;
    const lengthMs = this.#messages.length * 20;
    const at = (run: () => void): void => this.#time.schedule(random() * lengthMs, run);
    const during = (mostMs: number, begin: () => void, end: () => void): void => at(() => {
      begin();
      this.#time.schedule(random() * mostMs, end);
    });
    const { faults } = this.#disk;
    for (let i = Math.floor(random() * 5); i > 0; i--) at(() => this.#crashAndStart());
    if (random() < 0.4) during(1500, () => { faults.write = random(); }, () => { faults.write = 0; });
    if (random() < 0.3) during(1500, () => { faults.rename = random(); faults.open = random() / 2; }, () => { faults.rename = 0; faults.open = 0; });
    if (random() < 0.3) during(1500, () => { faults.capacityBytes = 0; }, () => { faults.capacityBytes = Infinity; });
    if (random() < 0.3) during(800, () => { faults.read = random() / 2; }, () => { faults.read = 0; });
    if (random() < 0.3) faults.stall = 0.002;
    if (random() < 0.4) during(2000, () => { this.#store.down = true; }, () => { this.#store.down = false; });
    if (random() < 0.5) this.#store.failing = 0.1;
    for (let i = Math.floor(random() * 3); i > 0; i--) at(() => this.#broker.interrupt());
  }

  #stopTrouble(): void {
    this.#calm = true;
    const { mutant } = this.options;
    Object.assign(this.#disk.faults, { write: 0, rename: 0, open: 0, read: 0, stall: 0, capacityBytes: Infinity, forgetSync: mutant === 'no fdatasync' });
    this.#store.down = false;
    this.#store.failing = 0;
  }

  #countOperation(): void {
    this.#operations++;
    const { crashAt } = this.options;
    if (crashAt?.operation !== this.#operations) return;
    this.#crash(crashAt.power);
    this.#time.schedule(50, () => this.#start());
  }

  #crashAndStart(): void {
    this.#crash(this.#random() < 0.5);
    const crashed = this.#generation;
    this.#time.schedule(this.#random() * 300, () => crashed === this.#generation && this.#start());
  }

  #crash(power: boolean): void {
    this.#crashes++;
    this.#generation++;
    this.#abandon();
    this.#broker.disconnect();
    if (power) this.#disk.powerCut();
    else this.#disk.kill();
  }

  #abandon(): void {
    if (!this.#process) return;
    this.#failedCommits += this.#process.journal.status().failedCommits;
    for (const follower of this.#process.followers) void follower.stop();
    this.#process = undefined;
  }

  #caughtUp(): boolean {
    const process = this.#process;
    return process !== undefined && this.#broker.empty && process.followers.every(({ position }) => position >= process.journal.appended);
  }

  #where(): string {
    const process = this.#process;
    if (!process) return 'no process';
    return JSON.stringify({ broker: this.#broker.empty, journal: process.journal.status(), followers: process.followers.map((follower) => follower.status()), failure: String(process.pipeline.failure) });
  }

  #violate(text: string): void {
    if (this.#violations.length < 20) this.#violations.push(text);
  }

  /** Acknowledged means stored, once, with the score of a run in which nothing went wrong; events, alerts and state are that run's too. */
  async #check(): Promise<void> {
    const expected = await uninterrupted(this.#messages, this.#time, this.options.makeDetector);
    const { readings, events } = this.#store;
    if (this.#broker.acknowledged.size !== this.#messages.length) this.#violate(`${this.#messages.length - this.#broker.acknowledged.size} messages were never acknowledged`);
    for (const [key, wanted] of expected.store.readings) {
      const got = readings.get(key);
      if (!got) this.#violate(`lost: ${key}`);
      else if (!Object.is(got.anomalyScore, wanted.anomalyScore) || !Object.is(got.actual, wanted.actual) || !Object.is(got.yhat, wanted.yhat) || got.flags !== wanted.flags) {
        this.#violate(`differs: ${key} ${JSON.stringify(got)}, uninterrupted ${JSON.stringify(wanted)}`);
      }
    }
    for (const key of readings.keys()) if (!expected.store.readings.has(key)) this.#violate(`never sent: ${key}`);
    if (this.#store.nameless > 0) this.#violate(`${this.#store.nameless} readings without a name`);
    for (const [id, event] of expected.store.events) {
      if (JSON.stringify(events.get(id)) !== JSON.stringify(event)) this.#violate(`event ${id}: ${JSON.stringify(events.get(id))}, uninterrupted ${JSON.stringify(event)}`);
    }
    for (const alert of expected.alerts) if (!this.#sent.has(alert)) this.#violate(`alert missing: ${alert}`);
    for (const alert of this.#sent) if (!expected.alerts.has(alert)) this.#violate(`alert that never was: ${alert}`);
    if (this.#process) this.#compareState(this.#process, expected);
  }

  #compareState(process: Process, expected: Expected): void {
    for (const device of expected.fleet.devices()) {
      const mine = process.fleet.get(device.name);
      const state = (of: { detector: Detector }, it: typeof device | undefined): string => it === undefined ? 'missing' : stateOf(of.detector, it);
      if (state(process, mine) !== state(expected, device)) this.#violate(`state of ${device.name} differs after the last restart`);
    }
  }
}

/** A journal that tells the snapshots that everything is durable. */
class HastyJournal extends Journal {
  override durable(): Promise<void> {
    return Promise.resolve();
  }
}

interface Expected {
  store: MemoryStore;
  alerts: Set<string>;
  fleet: Fleet;
  detector: Detector;
}

/** The same messages through the same stages, and nothing goes wrong. */
async function uninterrupted(messages: readonly Message[], time: VirtualTime, makeDetector?: WorldOptions['makeDetector']): Promise<Expected> {
  const fleet = new Fleet();
  const detector = await (makeDetector ?? (async () => new SmallDetector(fleet)))(fleet);
  const sequencer = new Sequencer(fleet, new Intake(new ReasonCounters(), () => undefined), { limits: DEFAULT_LIMITS, clock: time, time: 'wall' });
  const store = new MemoryStore(() => 1);
  const alerts = new Set<string>();
  let sequence = 0;
  const pipeline = new Pipeline({
    fleet, sequencer, detector, clock: time, commitDelayMs: 0, ticks: false,
    journal: { append: async () => sequence++ },
    onStepped: (batch) => {
      store.write(batch, fleet, sequence);
      for (const event of batch.events) alerts.add(`${event.id} ${event.state} ${event.updatedMs}`);
    },
    onCommitted: () => undefined, onRetire: () => undefined,
  });
  const broker = new SimulatedBroker(time, () => 0);
  const source = broker.connect();
  pipeline.addSource(source);
  pipeline.start();
  await source.open(pipeline.wake);
  for (const message of messages) broker.publish(message);
  await time.run(() => broker.empty, MOST_MS);
  return { store, alerts, fleet, detector };
}

/** The bytes that the detector keeps of a device and its series. */
function stateOf(detector: Detector, device: { id: number; slot: number; slots: readonly number[]; metrics: readonly string[] }): string {
  const lines: string[] = [];
  for (const part of detector.parts) {
    const slots = part.per === 'device' ? [[device.slot, '']] as const : device.slots.map((slot, i) => [slot, device.metrics[i]] as const);
    for (const [slot, metric] of slots) {
      const bytes = new Uint8Array(part.bytesPerSlot);
      part.write(slot, bytes, 0);
      lines.push(`${part.name} ${metric} ${Buffer.from(bytes).toString('hex')}`);
    }
  }
  for (const part of detector.documents) lines.push(`${part.name} ${JSON.stringify(part.writeDevice(device.id))}`);
  return lines.sort().join('\n');
}

/** A batch that lives on when the follower uses its own again. */
function copyOf(batch: Batch): Batch {
  const copy = structuredClone({ ...batch }) as Batch;
  return Object.assign(Object.create(Object.getPrototypeOf(batch) as object) as Batch, copy);
}

/** Readings of a small fleet: every device at its own pace, now and then a spike, a late reading, one sent twice, a device with new metrics. */
function makeMessages(random: Random, count: number): Message[] {
  const devices = Array.from({ length: 2 + Math.floor(random() * 6) }, (_, i) => ({ name: `device ${i}`, atMs: START_MS, metrics: 1 + Math.floor(random() * 3), used: new Set<number>() }));
  const messages: Message[] = [];
  for (let i = 0; i < count; i++) {
    const device = devices[Math.floor(random() * devices.length)];
    if (random() < 0.03 && messages.length > 0) {
      messages.push({ ...messages[Math.floor(random() * messages.length)] });
      continue;
    }
    if (random() < 0.02) device.metrics++;
    const late = random() < 0.03;
    if (!late) device.atMs += 10 + Math.floor(random() * 50);
    const timestampMs = late ? device.atMs - 1 - Math.floor(random() * 9) : device.atMs;
    // Another value for a time that has one is refused or, when it is not remembered any more, a correction: either is right.
    if (device.used.has(timestampMs)) continue;
    device.used.add(timestampMs);
    const spike = random() < 0.05 ? 20 : 0;
    messages.push({ device: device.name, timestampMs, metrics: Array.from({ length: device.metrics }, (_, m) => [`metric ${m}`, spike + Math.round(random() * 1000) / 1000]) });
  }
  return messages;
}
