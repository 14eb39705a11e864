import type { ReadingSink } from '../../core/source.js';
import type { Reason } from '../../core/reasons.js';
import type { IngestStages } from '../inlet.js';
import type { Named } from '../decode/message.js';
import { StagedPayload } from '../staged.js';
import { TextCache } from '../text-cache.js';
import type { Stretch } from './backlog.js';
import type { KafkaDeadLetter } from './dead-letters.js';
import { Naming, type NamingSettings } from './naming.js';
import { hasHeaders, HEADERS, headersOf, KEY, KEY_END, keyOf, PLACES, VALUE, VALUE_END, valueOf, type RecordBlock } from './records.js';

const NOTHING = new Uint8Array(0);
/** Reasons that are counted and are no dead letter by themselves. */
const NOTED: ReadonlySet<Reason> = new Set<Reason>(['duplicate', 'duplicate_differs', 'late', 'retained', 'excluded']);

/** Decodes records where they lie. */
export class RecordIntake {
  readonly #source: string;
  readonly #stages: IngestStages;
  readonly #naming: Naming;
  readonly #letter: ((letter: KafkaDeadLetter) => void) | undefined;
  readonly #keys = new TextCache();
  /** By the key's number among them: what was found for the key that had it last. */
  readonly #named: (Named | undefined)[] = [];
  /** The record in hand, where it is only partly with the pipeline, and whether its dead letter is written. */
  #staged: StagedPayload | undefined;
  #lettered = false;

  /** `letter` is told of records that are refused, whole or in part. */
  constructor(source: string, stages: IngestStages, naming: NamingSettings, letter: ((letter: KafkaDeadLetter) => void) | undefined) {
    this.#source = source;
    this.#stages = stages;
    this.#naming = new Naming(naming);
    this.#letter = letter;
  }

  /** As backlog.ts. */
  readonly take = ({ partition, block, receivedMs: cameMs }: Stretch, i: number, sink: ReadingSink): boolean => {
    const { intake, decoder, limits } = this.#stages;
    const { topic } = partition;
    const { bytes, places, timesMs } = block;
    const start = places[i * PLACES + VALUE];
    const from = start < 0 ? 0 : start;
    const to = start < 0 ? 0 : places[i * PLACES + VALUE_END];
    const named = this.#nameOf(block, i);
    // A producer's clock may be ahead; it is not believed. Messages without a time have -1.
    const stampedMs = timesMs[i];
    const receivedMs = stampedMs >= 0 && stampedMs < cameMs ? stampedMs : cameMs;
    intake.open(this.#source, topic, bytes, from, to);
    let done = true;
    // A reading takes at least two bytes, and a sink that is not full has room for a device's metrics.
    if (this.#staged === undefined && to - from <= 2 * limits.metricsPerDevice) {
      decoder.decodeAt(topic, bytes, from, to, receivedMs, sink, named);
    } else {
      if (this.#staged === undefined) {
        this.#staged = new StagedPayload();
        decoder.decodeAt(topic, bytes, from, to, receivedMs, this.#staged, named);
      }
      done = this.#staged.pour(sink);
      if (done) this.#staged = undefined;
    }
    if (intake.refused > 0) this.#refused(partition, block, i);
    if (done) this.#lettered = false;
    intake.close();
    return done;
  };

  #nameOf(block: RecordBlock, i: number): Named {
    const { bytes, places } = block;
    const at = i * PLACES;
    const headers = this.#naming.wantsHeaders && bytes[places[at + HEADERS]] !== 0 ? headersOf(block, i) : undefined;
    if (places[at + KEY] < 0) return this.#naming.of('', headers);
    const number = this.#keys.number(bytes, places[at + KEY], places[at + KEY_END]);
    if (number < 0) return this.#naming.of(bytes.toString('utf8', places[at + KEY], places[at + KEY_END]), headers);
    const key = this.#keys.at(number);
    const known = number < this.#named.length ? this.#named[number] : undefined;
    if (headers === undefined && known !== undefined && known.device === key) return known;
    const named = this.#naming.of(key, headers);
    while (this.#named.length <= number) this.#named.push(undefined);
    if (headers === undefined) this.#named[number] = named;
    return named;
  }

  /** A record taken in parts is one dead letter. */
  #refused({ topic, partition }: Stretch['partition'], block: RecordBlock, i: number): void {
    const { tally } = this.#stages.intake;
    const reason = [...tally.keys()].find((name) => !NOTED.has(name));
    if (reason === undefined || this.#letter === undefined || this.#lettered) return;
    this.#lettered = true;
    this.#letter({
      topic, partition, offset: block.offsets[i], key: copyOf(keyOf(block, i)), value: copyOf(valueOf(block, i)) ?? NOTHING,
      headers: hasHeaders(block, i) ? headersOf(block, i) : {}, reason, detail: tally.get(reason)!.detail,
    });
  }
}

/** What waits for a topic must not hold on to a whole fetch. */
function copyOf(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes);
}
