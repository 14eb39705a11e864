import type { Batch } from '../core/batch.js';
import { systemClock, type Clock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import type { Device } from '../core/fleet.js';
import { readWhole, replaceFile } from './disk/disk.js';
import type { Journal } from './journal.js';
import { encodeShard, openFile, restoreShard, sealFile, type ShardHead, type StateParts } from './shard.js';
import { systemSleep, type Sleep } from './sleep.js';

export const SNAPSHOT_FOLDER = 'snapshot';
const INDEX_NAME = `${SNAPSHOT_FOLDER}/index`;
/** The name under which the journal keeps what a restart would replay. */
const RETAINER = 'snapshots';
/** When names were lost with a damaged file: so far beyond the last known identity that none is given out again. */
const LOST_IDENTITIES = 1_000_000;

const NOTED = 64;

export interface SnapshotOptions extends StateParts {
  journal: Journal;
  /** A device and all its series are in the same shard. Fixed when the first snapshot is made. */
  devicesPerShard?: number;
  /** State of the fleet as a whole, small: kept as of the floor, from which a restart replays. */
  fleetDocument?: () => unknown;
  clock?: Clock;
  sleep?: Sleep;
}

/** The small file beside the shards. */
interface Index {
  /** Every shard has seen everything up to here; a replay begins after it. */
  floor: number;
  devicesPerShard: number;
  fleetDocument: unknown;
}

/** What `load` found. `notes` are for the log and the health report: whatever could not be brought back, in words. */
export interface Loaded {
  devices: number;
  series: number;
  floor: number;
  fleetDocument: unknown;
  notes: string[];
}

export interface SnapshotStatus {
  state: 'ok' | 'degraded';
  detail: string;
  floor: number;
  dirtyShards: number;
  lastRoundMs: number | null;
  lastRoundAtMs: number | null;
  lastRoundBytes: number;
}

/**
 * The detector's state on disk, a file a shard. A round writes every shard that changed, one at a time: its bytes are copied in one go, so a shard is of one moment,
 * and written while the stream goes on, so the shards are of different moments; each says of which, and the replay after a restart gives each what it has not seen.
 */
export class Snapshots {
  readonly #options: SnapshotOptions;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #sleep: Sleep;
  #devicesPerShard: number;
  #dirty = new Set<number>();
  /** [NOTED] of a batch: a shard that was noted already, one more than its number, by its last bits. */
  readonly #noted = new Uint32Array(NOTED);
  /** [shard] the sequence that its file has seen. */
  readonly #seen = new Map<number, number>();
  #floor = -1;
  #lastRetirement = -1;
  #round: Promise<void> | undefined;
  #loop: Promise<void> | undefined;
  readonly #stop = new AbortController();
  #error: string | null = null;
  #lastRoundMs: number | null = null;
  #lastRoundAtMs: number | null = null;
  #lastRoundBytes = 0;

  constructor(options: SnapshotOptions) {
    this.#options = options;
    this.#journal = options.journal;
    this.#clock = options.clock ?? systemClock;
    this.#sleep = options.sleep ?? systemSleep;
    this.#devicesPerShard = options.devicesPerShard ?? 256;
  }

  /** Brings back fleet and parts. The journal must be open. Throws FORMAT_VERSION; damage is survived and noted. */
  async load(): Promise<Loaded> {
    const notes: string[] = [];
    const index = await this.#loadIndex(notes);
    if (index) {
      this.#floor = index.floor;
      this.#devicesPerShard = index.devicesPerShard;
    }
    // Nothing may be removed before the first round of this process.
    this.#journal.retain(RETAINER, this.#floor);
    const afresh = new Set<string>();
    for (const { shard, name } of await this.#shardFiles()) await this.#loadShard(shard, name, index !== undefined, afresh, notes);
    if (afresh.size > 0) notes.push(`kept in another form by another version, and therefore begun afresh: ${[...afresh].join(', ')}`);
    const highest = Math.max(this.#floor, ...this.#seen.values());
    if (!this.#journal.reachTo(highest)) notes.push(`the journal ends before the snapshots, which have seen record ${highest}`);
    this.#lastRetirement = this.#journal.appended;
    const { fleet } = this.#options;
    return { devices: fleet.deviceCount, series: fleet.seriesCount, floor: this.#floor, fleetDocument: index?.fleetDocument ?? null, notes };
  }

  async #loadIndex(notes: string[]): Promise<Index | undefined> {
    const bytes = await readWhole(this.#journal.disk, INDEX_NAME);
    if (!bytes) return undefined;
    const index = openFile(INDEX_NAME, bytes)?.head as Partial<Index> | undefined;
    // Whole, and not an index: a restored backup whose files took each other's place.
    if (Number.isInteger(index?.floor) && Number.isInteger(index?.devicesPerShard)) return index as Index;
    notes.push(`${INDEX_NAME} is damaged: the whole journal is replayed`);
    return undefined;
  }

  async #shardFiles(): Promise<{ shard: number; name: string }[]> {
    const files: { shard: number; name: string }[] = [];
    for (const { name } of await this.#journal.disk.list(SNAPSHOT_FOLDER)) {
      const match = /^snapshot\/(\d{8})\.shard$/.exec(name);
      if (match) files.push({ shard: Number(match[1]), name });
    }
    // Devices come back in the order of their ids, as they were first declared.
    return files.sort((a, b) => a.shard - b.shard);
  }

  async #loadShard(shard: number, name: string, indexed: boolean, afresh: Set<string>, notes: string[]): Promise<void> {
    const bytes = await readWhole(this.#journal.disk, name);
    const file = bytes && openFile(name, bytes);
    if (!file || !this.#isShard(shard, file.head as Partial<ShardHead>, indexed)) {
      notes.push(`${name} is damaged and was set aside: up to ${this.#devicesPerShard} devices begin afresh`);
      await this.#journal.disk.rename(name, `${name}.damaged`);
      const { device, series } = this.#options.fleet.nextIds;
      this.#options.fleet.raiseIds({ device: Math.max(device, (shard + 1) * this.#devicesPerShard), series: series + LOST_IDENTITIES });
      return;
    }
    const head = file.head as ShardHead;
    if (!file.body) {
      notes.push(`the state in ${name} is damaged: its ${head.devices.length} devices warm up again`);
      this.#dirty.add(shard);
    }
    for (const part of restoreShard(this.#options, head, file.body)) if (file.body) afresh.add(part);
    this.#seen.set(shard, head.sequence);
  }

  /** Whether a whole file is what its name says. Without an index nobody knows which devices belong to which shard. */
  #isShard(shard: number, head: Partial<ShardHead>, indexed: boolean): boolean {
    return Array.isArray(head.devices) && (!indexed || head.devices.every(({ id }) => this.#shardOf(id) === shard));
  }

  #shardOf(deviceId: number): number {
    return Math.floor(deviceId / this.#devicesPerShard);
  }

  /** Whether the state that was loaded for a device has seen a record already. */
  hasSeen(deviceId: number, sequence: number): boolean {
    return sequence <= Math.max(this.#floor, this.#seen.get(this.#shardOf(deviceId)) ?? -1);
  }

  /** Where a replay begins. */
  get floor(): number {
    return this.#floor;
  }

  get state(): StateParts {
    return this.#options;
  }

  /** Notes what a stepped batch has changed. Call it in the same turn as `journal.append`: a copy is made between turns, and is of `journal.appended`. */
  touched(batch: Batch): void {
    const { fleet } = this.#options;
    let last: Device | undefined;
    // Devices of a batch are in a few shards, again and again.
    const noted = this.#noted;
    noted.fill(0);
    for (let row = 0; row < batch.n; row++) {
      const device = fleet.deviceOfSlot(batch.slot[row]);
      if (device === undefined || device === last) continue;
      last = device;
      const shard = this.#shardOf(device.id);
      if (noted[shard & (NOTED - 1)] === shard + 1) continue;
      noted[shard & (NOTED - 1)] = shard + 1;
      this.#dirty.add(shard);
    }
    for (const declaration of batch.declarations) {
      this.#dirty.add(this.#shardOf(declaration.deviceId));
      if (declaration.kind === 'retire') this.#lastRetirement = this.#journal.appended;
    }
    for (const { device } of batch.events) this.#touchNamed(device);
    for (const { device } of batch.verdicts) this.#touchNamed(device);
  }

  #touchNamed(name: string): void {
    const device = this.#options.fleet.get(name);
    if (device) this.#dirty.add(this.#shardOf(device.id));
  }

  /** Makes a round every `intervalMs`; a round that fails is made again the next time. */
  start(intervalMs: number): void {
    this.#loop ??= (async () => {
      for (;;) {
        await this.#sleep(intervalMs, this.#stop.signal);
        if (this.#stop.signal.aborted) return;
        await this.round().catch(() => undefined);
      }
    })();
  }

  /** Ends the rounds, and makes a last one where it takes no longer than `mostMs`: what it does not reach is replayed by the next start. */
  async stop(mostMs = 3000): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    if (mostMs > 0) await Promise.race([this.round().catch(() => undefined), this.#sleep(mostMs)]);
  }

  /** Writes what has changed. Rejects where the disk does not take it; nothing is lost then, a restart just replays more. */
  round(): Promise<void> {
    this.#round ??= this.#writeRound().finally(() => { this.#round = undefined; });
    return this.#round;
  }

  async #writeRound(): Promise<void> {
    const startMs = this.#clock.nowMs();
    const floor = this.#journal.appended;
    const fleetDocument = this.#options.fleetDocument?.() ?? null;
    this.#forgetRetired();
    const dirty = [...this.#dirty];
    let bytes = 0;
    try {
      for (const shard of dirty) bytes += await this.#writeShard(shard);
      if (floor > this.#floor) {
        const index: Index = { floor, devicesPerShard: this.#devicesPerShard, fleetDocument };
        await this.#journal.durable(floor);
        await replaceFile(this.#journal.disk, INDEX_NAME, sealFile(index, new Uint8Array(0)));
        this.#floor = floor;
        this.#journal.retain(RETAINER, floor);
      }
      this.#error = null;
    } catch (error) {
      this.#error = messageOf(error);
      throw new GruardError('JOURNAL_IO', `the snapshot was not written: ${messageOf(error)}`, { cause: error });
    }
    this.#lastRoundBytes = bytes;
    this.#lastRoundAtMs = this.#clock.nowMs();
    this.#lastRoundMs = this.#lastRoundAtMs - startMs;
  }

  /** Names of retired series are needed by followers that are behind their retirement. */
  #forgetRetired(): void {
    const followers = this.#journal.status().retained.filter(({ name }) => name !== RETAINER);
    if (followers.length > 0 && followers.every(({ position }) => position >= this.#lastRetirement)) this.#options.fleet.forgetRetired();
  }

  async #writeShard(shard: number): Promise<number> {
    const { fleet } = this.#options;
    const devices: Device[] = [];
    const first = shard * this.#devicesPerShard;
    for (let id = first; id < first + this.#devicesPerShard; id++) {
      const device = fleet.getById(id);
      if (device) devices.push(device);
    }
    const retired = [...fleet.retiredSeries()].filter(({ deviceId }) => this.#shardOf(deviceId) === shard);
    const sequence = this.#journal.appended;
    const buffers = encodeShard(this.#options, devices, retired, sequence);
    this.#dirty.delete(shard);
    try {
      // A state that has seen a record must not outlive it: the source would send it again, and it would be taken for a duplicate.
      await this.#journal.durable(sequence);
      await replaceFile(this.#journal.disk, `${SNAPSHOT_FOLDER}/${String(shard).padStart(8, '0')}.shard`, buffers);
    } catch (error) {
      this.#dirty.add(shard);
      throw error;
    }
    return buffers.reduce((sum, { length }) => sum + length, 0);
  }

  status(): SnapshotStatus {
    return {
      state: this.#error === null ? 'ok' : 'degraded', detail: this.#error ?? `a restart replays from record ${this.#floor + 1}`, floor: this.#floor,
      dirtyShards: this.#dirty.size, lastRoundMs: this.#lastRoundMs, lastRoundAtMs: this.#lastRoundAtMs, lastRoundBytes: this.#lastRoundBytes,
    };
  }
}
