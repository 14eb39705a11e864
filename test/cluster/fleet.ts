import { Partitioners, type Message, type Producer } from 'kafkajs';
import { gaussian, seededRandom } from '../../core/random.js';
import type { KafkaServer } from '../servers/kafka.js';

/** A fleet as messages of an input topic: keyed by device, one reading a minute and metric, the time of a message that of its readings. */
export interface FleetSize {
  devices: number;
  /** Readings of the whole fleet. */
  readings: number;
  seed: number;
}

const START_MS = Date.UTC(2026, 0, 1);
const PERIOD_MS = 60_000;
const A_REQUEST = 4000;
const RETRY_MS = 1000;
/** Of ten devices one has a second metric, one has a fault in the last fifth, and now and then a message comes twice, or late. */
const TENTH = 10;

export class FleetMessages {
  readonly turns: number;
  readings = 0;
  messages = 0;
  repeated = 0;
  late = 0;

  constructor(readonly size: FleetSize) {
    this.turns = Math.ceil(size.readings / (size.devices * (1 + 1 / TENTH)));
  }

  * all(): Generator<Message> {
    const random = seededRandom(this.size.seed);
    for (let turn = 0; turn < this.turns; turn++) {
      for (let device = 0; device < this.size.devices; device++) {
        const message = this.#message(device, turn, random);
        yield message;
        const chance = random();
        if (chance < 0.001) {
          this.repeated++;
          yield message;
        } else if (chance < 0.002 && turn > 0) {
          this.late++;
          this.readings += 2;
          yield { ...message, value: JSON.stringify({ timestamp: this.#atMs(device, turn) - PERIOD_MS / 2, late_one: 1, temperature: 20 }) };
        }
      }
    }
  }

  #atMs(device: number, turn: number): number {
    return START_MS + turn * PERIOD_MS + Math.floor((device * PERIOD_MS) / this.size.devices);
  }

  #message(device: number, turn: number, random: () => number): Message {
    const fault = device % TENTH === 3 && turn > 0.8 * this.turns ? 9 : 0;
    const temperature = Number((20 + 2 * Math.sin(turn / 7 + device) + 0.3 * gaussian(random) + fault).toFixed(2));
    const two = device % TENTH === 0;
    this.readings += two ? 2 : 1;
    this.messages++;
    const timestamp = this.#atMs(device, turn);
    const own = two ? `,"humidity":${(50 + gaussian(random)).toFixed(1)}` : '';
    return { key: `machine-${device}`, timestamp: String(timestamp), value: `{"timestamp":${timestamp},"temperature":${temperature}${own}}` };
  }
}

/** Writes them all; a poison message for each partition in the middle. */
export async function produceFleet(server: KafkaServer, topic: string, fleet: FleetMessages, partitions: number): Promise<void> {
  const producer = server.client().producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  const half = (fleet.turns * fleet.size.devices) / 2;
  let waiting: Message[] = [];
  let poisoned = false;
  for (const message of fleet.all()) {
    waiting.push(message);
    if (waiting.length < A_REQUEST) continue;
    await send(producer, topic, waiting);
    waiting = [];
    if (poisoned || fleet.messages < half) continue;
    poisoned = true;
    await poison(producer, topic, partitions, String(START_MS));
  }
  await send(producer, topic, waiting);
  if (!poisoned) await poison(producer, topic, partitions, String(START_MS));
  await producer.disconnect();
}

/** Until the broker has them: what it gets twice on the way is a repetition like any other. */
async function send(producer: Producer, topic: string, messages: Message[]): Promise<void> {
  while (messages.length > 0) {
    try {
      await producer.send({ topic, acks: -1, messages });
      return;
    } catch {
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
  }
}

async function poison(producer: Producer, topic: string, partitions: number, timestamp: string): Promise<void> {
  await send(producer, topic, Array.from({ length: partitions }, (_, partition) => ({ partition, key: 'poison', value: '{"temperature":', timestamp })));
}
