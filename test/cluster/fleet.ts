import { Partitioners, type Message, type Producer } from 'kafkajs';
import { gaussian, seededRandom } from '../../core/random.js';
import type { KafkaServer } from '../servers/kafka.js';

/** A fleet as messages of an input topic: keyed by device, the time of a message that of its readings. */
export interface FleetSize {
  devices: number;
  /** Readings of the whole fleet. */
  readings: number;
  seed: number;
}

const START_MS = Date.UTC(2026, 0, 1);
/** A slow device's period, and how often a fast one speaks in it: faults are found in those that have spoken some hundred times. */
const PERIOD_MS = 60_000;
const TIMES = 10;
const A_REQUEST = 4000;
const RETRY_MS = 1000;
/** Of ten devices one has a second metric, one has a fault in the last fifth, and one (half of each of these) is fast. Now and then a message comes twice, or late. */
const TENTH = 10;
const READINGS_A_PERIOD = (1 + (TIMES - 1) / TENTH) * (1 + 1 / TENTH);

const isFast = (device: number): boolean => device % (2 * TENTH) === 3 || device % (2 * TENTH) === TENTH;

export class FleetMessages {
  readonly turns: number;
  readings = 0;
  messages = 0;
  repeated = 0;
  late = 0;

  constructor(readonly size: FleetSize) {
    this.turns = TIMES * Math.ceil(size.readings / (size.devices * READINGS_A_PERIOD));
  }

  * all(): Generator<Message> {
    const random = seededRandom(this.size.seed);
    for (let turn = 0; turn < this.turns; turn++) {
      for (let device = 0; device < this.size.devices; device++) {
        if (!isFast(device) && turn % TIMES !== device % TIMES) continue;
        const message = this.#message(device, turn, random);
        yield message;
        const chance = random();
        if (chance < 0.001) {
          this.repeated++;
          yield message;
        } else if (chance < 0.002 && turn >= TIMES) {
          this.late++;
          this.readings += 2;
          yield { ...message, value: JSON.stringify({ timestamp: Number(message.timestamp) - PERIOD_MS / TIMES / 2, late_one: 1, temperature: 20 }) };
        }
      }
    }
  }

  #message(device: number, turn: number, random: () => number): Message {
    const fault = device % TENTH === 3 && turn > 0.8 * this.turns ? 9 : 0;
    const temperature = Number((20 + 2 * Math.sin((isFast(device) ? turn : turn / TIMES) / 7 + device) + 0.3 * gaussian(random) + fault).toFixed(2));
    const two = device % TENTH === 0;
    this.readings += two ? 2 : 1;
    this.messages++;
    const timestamp = START_MS + Math.floor((turn + device / this.size.devices) * (PERIOD_MS / TIMES));
    const own = two ? `,"humidity":${(50 + gaussian(random)).toFixed(1)}` : '';
    return { key: `machine-${device}`, timestamp: String(timestamp), value: `{"timestamp":${timestamp},"temperature":${temperature}${own}}` };
  }
}

/** Writes them all, no more than `messagesPerS` (0: as fast as it goes); a poison message for each partition in the middle. */
export async function produceFleet(server: KafkaServer, topic: string, fleet: FleetMessages, partitions: number, messagesPerS = 0): Promise<void> {
  const producer = server.client().producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  const half = fleet.size.readings / (1 + 1 / TENTH) / 2;
  const aRequest = messagesPerS > 0 ? Math.min(A_REQUEST, Math.ceil(messagesPerS / 4)) : A_REQUEST;
  const began = performance.now();
  let waiting: Message[] = [];
  let poisoned = false;
  for (const message of fleet.all()) {
    waiting.push(message);
    if (waiting.length < aRequest) continue;
    await send(producer, topic, waiting);
    waiting = [];
    if (messagesPerS > 0) await pause(began + (fleet.messages / messagesPerS) * 1000 - performance.now());
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
      await pause(RETRY_MS);
    }
  }
}

async function poison(producer: Producer, topic: string, partitions: number, timestamp: string): Promise<void> {
  await send(producer, topic, Array.from({ length: partitions }, (_, partition) => ({ partition, key: 'poison', value: '{"temperature":', timestamp })));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}
