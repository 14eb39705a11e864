import { strict as assert } from 'node:assert';
import { Batch } from '../../../core/batch.js';
import { ManualClock } from '../../../core/clock.js';
import { Fleet } from '../../../core/fleet.js';
import { DEFAULT_LIMITS } from '../../../core/limits.js';
import type { Random } from '../../../core/random.js';
import { ReasonCounters } from '../../../core/reasons.js';
import type { ReadingSink } from '../../../core/source.js';
import type { Named } from '../../../ingest/decode/message.js';
import { DEFAULT_DECODER_SETTINGS, Decoder } from '../../../ingest/decode/index.js';
import { Intake } from '../../../ingest/intake.js';
import { metricProblem, nameProblem } from '../../../ingest/names.js';
import { Sequencer } from '../../../ingest/sequence.js';
import { below, bytesOf, json, mutate, NASTY, noise, pick, Stream } from '../mutate.js';
import type { FuzzTarget } from '../target.js';

const NOW_MS = 1_750_000_000_000;
const LIMITS = { ...DEFAULT_LIMITS, payloadBytes: 20_000, devices: 40, series: 600, metricsPerDevice: 32, nameBytes: 64, tags: 4 };
const RUNS_A_RIG = 3000;

const CORPUS = [
  '{"device":"oven3","timestamp":1750000000000,"metrics":{"temperature":21.4,"humidity":40},"tags":{"line":"1"}}', '{"temperature":21.4,"ts":1750000000,"id":7}', '21.4', 'ON',
  '[{"device":"a","x":1,"time":"2025-06-15T15:06:40Z"},{"device":"b","x":2}]', '{"tags":{"a":"b"},"readings":[{"ts":1750000000,"t":20},{"ts":1750000060,"t":21}]}', '{"metric":"temperature","value":21.4}',
  'weather,device=oven\\ 3,site=a\\,b temperature=21.4,count=3i,on=t,text="a \\"b\\", c" 1750000000000000000\nweather,device=x y=1', '{"a":{"b":{"c":[1,2,{"d":3}]}},"n":NaN}', 'm x=1\nm x=2 1750000001', '{"x":1,"x":2}',
].map(bytesOf);
const TOPICS = ['', 'plant/line1/oven3', 'tele/kitchen/SENSOR', 'shellies/plug/relay/0/power', 'x', '/', '///', 'a/b/c/d', 'fixed/me/t', 'rule/oven9/t/1'];
const SETTINGS = { ...DEFAULT_DECODER_SETTINGS, rules: [{ topic: 'rule/{device}/{metric}/{line}' }, { topic: 'fixed/#', device: 'the one' }], exclude: ['secret/#'], excludeMetrics: ['*_raw'] };

/** A sequencer whose calls are counted. */
class Counted implements ReadingSink {
  calls = 0;
  constructor(private readonly sequencer: Sequencer) {}
  get full(): boolean {
    return this.sequencer.full;
  }
  begin(device: string, timestampMs: number, receivedMs: number, tags?: Record<string, string>): boolean {
    this.calls++;
    return this.sequencer.begin(device, timestampMs, receivedMs, tags);
  }
  add(metric: string, value: number): boolean {
    this.calls++;
    return this.sequencer.add(metric, value);
  }
  end(): void {
    this.sequencer.end();
  }
}

/** What a test of this test breaks on purpose. */
export interface DecodeMutant {
  /** In force in place of those that are checked. */
  limits?: Partial<typeof LIMITS>;
  /** The decoder does everything so many times. */
  times?: number;
}

class Rig {
  readonly counters = new ReasonCounters();
  letters = 0;
  readonly intake = new Intake(this.counters, () => { this.letters++; });
  readonly fleet = new Fleet();
  readonly sequencer: Sequencer;
  readonly sink: Counted;
  readonly decoder: Decoder;
  readonly batch = new Batch(8192);

  constructor(limits: typeof LIMITS) {
    this.sequencer = new Sequencer(this.fleet, this.intake, { limits, clock: new ManualClock(NOW_MS), time: 'wall' });
    this.sink = new Counted(this.sequencer);
    this.decoder = new Decoder(this.intake, limits, SETTINGS);
  }
}

function payload(random: Random, structured: Stream<string>): Uint8Array {
  const kind = below(random, 100);
  if (kind < 35) return bytesOf(structured.next(random));
  if (kind < 55) return mutate(random, bytesOf(structured.next(random)), LIMITS.payloadBytes);
  if (kind < 92) return mutate(random, pick(random, CORPUS), LIMITS.payloadBytes);
  if (kind < 94) return bytesOf(pick(random, ['[', '{"a":', '[{', '"', ',']).repeat(below(random, 6000)));
  return noise(random);
}

/**
 * Every dialect, with the sequencer behind it: no payload makes it throw; the work (calls of the sink) and what is stored are bounded by the payload's length; every payload
 * leaves readings or a reason; nothing is stored that a limit refuses.
 */
export const decodeTarget = (mutant: DecodeMutant = {}): FuzzTarget => ({
  name: 'decoders',
  share: 50,
  open() {
    const structured = new Stream(json);
    const limits = { ...LIMITS, ...mutant.limits };
    let rig = new Rig(limits);
    let runs = 0;
    return {
      run(random, remember) {
        if (++runs % RUNS_A_RIG === 0) rig = new Rig(limits);
        const bytes = payload(random, structured);
        const topic = below(random, 10) > 0 ? pick(random, TOPICS) : below(random, 2) > 0 ? `plant/line1/${below(random, 1000)}` : `${pick(random, TOPICS)}/${pick(random, NASTY)}`;
        const own: Named | undefined = below(random, 10) === 0 ? { device: 'own', deviceIsFixed: true, tags: undefined } : undefined;
        remember({ topic, own: own !== undefined, payload: Buffer.from(bytes).toString('base64') });
        take(rig, topic, bytes, own, below(random, 20) === 0, mutant.times ?? 1);
      },
    };
  },
});

function take(rig: Rig, topic: string, bytes: Uint8Array, own: Named | undefined, retained: boolean, times: number): void {
  const { batch, intake, fleet, sink, sequencer, decoder } = rig;
  batch.reset();
  sequencer.attach(batch);
  sink.calls = 0;
  const copy = bytes.slice();
  intake.open('fuzz', topic, bytes);
  for (let time = 0; time < times; time++) decoder.decode(topic, bytes, NOW_MS, sink, retained, own);
  const { accepted, refused } = intake;
  const reasons = intake.tally.size;
  intake.close();
  assert.deepEqual(bytes, copy, 'the payload was written to');
  assert.ok(sink.calls <= bytes.length + 2, `${sink.calls} calls for ${bytes.length} bytes`);
  assert.ok(accepted + refused + reasons > 0, 'neither a reading nor a reason');
  assert.ok(batch.n <= accepted, `${batch.n} rows, ${accepted} accepted`);
  assert.ok(fleet.deviceCount <= LIMITS.devices, 'over the limit of devices');
  assert.ok(fleet.seriesCount <= LIMITS.series, 'over the limit of series');
  for (let row = 0; row < batch.n; row++) {
    assert.ok(Number.isFinite(batch.value[row]), 'a value that is not finite');
    assert.ok(batch.timestampMs[row] >= 0 && batch.timestampMs[row] <= NOW_MS + LIMITS.clockSkewMs + bytes.length, `time ${batch.timestampMs[row]}`);
    const { device, metric } = fleet.nameOf(batch.seriesId[row])!;
    assert.equal(nameProblem(device, LIMITS.nameBytes), undefined, `device ${JSON.stringify(device)}`);
    assert.equal(metricProblem(metric, LIMITS.nameBytes), undefined, `metric ${JSON.stringify(metric)}`);
    if (own && !topic.startsWith('rule/') && !topic.startsWith('fixed/') && !topic.startsWith('tele/') && !topic.startsWith('shellies/')) assert.equal(device, 'own', 'a sender spoke for another device');
  }
  for (const declaration of batch.declarations) {
    if (declaration.kind !== 'tags') continue;
    assert.ok(Object.keys(declaration.tags).length <= LIMITS.tags, 'too many tags');
    for (const [key, value] of Object.entries(declaration.tags)) assert.ok(!nameProblem(key, LIMITS.nameBytes) && !nameProblem(value, LIMITS.nameBytes), `tag ${JSON.stringify(key)}`);
  }
}
