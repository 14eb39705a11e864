import type { Admin, Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { Board } from '../board.js';
import { Batch, DEVICE_METRIC, FLAG } from '../core/batch.js';
import { messageOf } from '../core/errors.js';
import type { AnomalyEvent } from '../core/event.js';
import { Fleet, type Device } from '../core/fleet.js';
import type { Log } from '../core/log.js';
import { CommittedFeed } from '../live.js';
import { eventOf, isRetired, type EventMessage, type ResultMessage, verdictOf } from './messages.js';

export interface ViewOptions {
  kafka: Kafka;
  admin: Admin;
  resultsTopic: string;
  eventsTopic: string;
  groupId: string;
  results: { series(): Promise<{ device: string; metric: string }[]> };
  nowMs: () => number;
  log: Log;
}

/** What was written before the start is read again from so long ago: the last readings of whoever speaks more often than that. */
const BACK_MS = 10 * 60_000;
const ROWS = 4096;
const WAIT_MS = 200;
const RETRY_MS = 2000;

/**
 * The whole fleet as it stands now, on any worker: follows the topics of results and events as any other reader of committed messages does. A group of its own, which
 * commits nothing; at the start the result store says who there is.
 */
export class FleetView {
  readonly fleet = new Fleet();
  readonly board = new Board(this.fleet);
  readonly live = new CommittedFeed();
  /** Devices of which no series has been judged yet. */
  readonly warming = new Set<number>();
  readonly #options: ViewOptions;
  readonly #batch = new Batch(ROWS);
  readonly #told = new Set<(event: AnomalyEvent) => void>();
  #consumer: Consumer | undefined;
  #sequence = 0;
  #closed = false;
  #serving: Promise<void> | undefined;
  readings = 0;
  state: 'connecting' | 'connected' | 'disconnected' = 'connecting';
  detail: string | null = null;

  constructor(options: ViewOptions) {
    this.#options = options;
  }

  start(): void {
    this.#serving = this.#serve();
  }

  /** Told of every event that is heard of. Returns what ends it. */
  onEvent(listener: (event: AnomalyEvent) => void): () => void {
    this.#told.add(listener);
    return () => this.#told.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#consumer?.disconnect().catch(() => undefined);
    await Promise.race([this.#serving, new Promise((resolve) => { setTimeout(resolve, RETRY_MS); })]);
    await this.#options.admin.deleteGroups([this.#options.groupId]).catch(() => undefined);
  }

  async #serve(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#session();
      } catch (error) {
        this.detail = messageOf(error);
      }
      this.state = 'disconnected';
      await this.#consumer?.disconnect().catch(() => undefined);
      if (!this.#closed) await new Promise((resolve) => { setTimeout(resolve, RETRY_MS).unref(); });
    }
  }

  async #session(): Promise<void> {
    const { kafka, admin, resultsTopic, eventsTopic, groupId, nowMs } = this.#options;
    const topics = [resultsTopic, eventsTopic];
    // Events are few, and one that is open may be old: all of them are read.
    const events = (await admin.fetchTopicOffsets(eventsTopic)).map(({ partition, low }) => ({ partition, offset: low }));
    const from = [await admin.fetchTopicOffsetsByTimestamp(resultsTopic, nowMs() - BACK_MS), events];
    await this.#fromStore();
    const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: WAIT_MS, allowAutoTopicCreation: false, retry: { retries: 2, restartOnFailure: () => Promise.resolve(false) } });
    this.#consumer = consumer;
    await consumer.connect();
    await consumer.subscribe({ topics });
    const crashed = new Promise<Error>((resolve) => { consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload.error)); });
    consumer.on(consumer.events.GROUP_JOIN, () => {
      this.state = 'connected';
      this.detail = null;
      topics.forEach((topic, i) => {
        for (const { partition, offset } of from[i]) consumer.seek({ topic, partition, offset });
      });
    });
    await consumer.run({ autoCommit: false, partitionsConsumedConcurrently: 4, eachBatch: (payload) => this.#take(payload) });
    throw await crashed;
  }

  /** The names of all that ever spoke; who was retired is in the topic of events. */
  async #fromStore(): Promise<void> {
    for (const { device, metric } of await this.#options.results.series()) this.#series(device, metric, 0);
  }

  async #take(payload: EachBatchPayload): Promise<void> {
    const { topic, messages } = payload.batch;
    for (const { value } of messages) {
      if (value === null) continue;
      if (this.#batch.n === this.#batch.capacity) this.#publish();
      try {
        const message = JSON.parse(value.toString()) as ResultMessage | EventMessage;
        if (topic === this.#options.resultsTopic) this.#result(message as ResultMessage);
        else this.#event(message as EventMessage);
      } catch {
        // Not written by a gruard: nothing to show.
      }
    }
    this.#publish();
    await payload.heartbeat();
  }

  #result(message: ResultMessage): void {
    const atMs = Date.parse(message.timestamp);
    const slot = this.#series(message.device, message.metric, atMs);
    const device = this.fleet.deviceOfSlot(slot)!;
    if (message.warming_up) this.warming.add(device.id);
    else if (message.scored) this.warming.delete(device.id);
    const batch = this.#batch;
    const row = batch.push(this.fleet.idOfSlot(slot), slot, atMs, message.actual ?? NaN, (message.scored ? 0 : FLAG.LATE) | (message.in_event ? FLAG.IN_EVENT : 0));
    batch.yhat[row] = message.yhat ?? NaN;
    batch.yhatLower[row] = message.yhat_lower ?? NaN;
    batch.yhatUpper[row] = message.yhat_upper ?? NaN;
    batch.anomalyScore[row] = message.anomaly_score ?? 0;
    if (message.metric !== DEVICE_METRIC) this.readings++;
  }

  #event(message: EventMessage): void {
    if (message.type !== 'retired') this.#device(message.device, 0);
    if (message.type === 'anomaly') {
      const event = eventOf(message);
      this.#batch.events.push(event);
      for (const told of this.#told) told(event);
    } else if (message.type === 'verdict') {
      this.#batch.verdicts.push(verdictOf(message));
    } else if (isRetired(message)) {
      this.#publish();
      const device = this.fleet.get(message.device);
      if (!device) return;
      this.board.retire(device);
      this.warming.delete(device.id);
      this.fleet.apply({ kind: 'retire', deviceId: device.id, atMs: 0 });
      this.fleet.forgetRetired();
    }
  }

  #device(name: string, atMs: number): Device {
    return this.fleet.get(name) ?? this.fleet.addDevice(name, {}, atMs).device;
  }

  #series(name: string, metric: string, atMs: number): number {
    const device = this.#device(name, atMs);
    const slot = this.fleet.slotOf(device, metric);
    return slot >= 0 ? slot : this.fleet.addSeries(device, metric).slot;
  }

  #publish(): void {
    const batch = this.#batch;
    if (batch.n === 0 && batch.events.length === 0 && batch.verdicts.length === 0) return;
    this.board.apply(batch);
    this.live.publish(batch, ++this.#sequence, this.fleet);
    batch.reset();
  }
}

