import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { seededRandom } from '../../core/random.js';
import { freePort } from '../servers/free-port.js';
import { Mosquitto } from '../servers/mosquitto.js';
import { METRICS, PublishingFleet } from './fleet.js';
import { Gruard, startReceiver } from './servers.js';

export interface CrashReport {
  cycles: number;
  /** Readings (values) that the broker acknowledged. */
  readings: number;
  lost: number;
  /** Whose score, forecast or value is not that of the gruard that was never killed. */
  different: number;
  events: number;
  events_different: number;
  alerts: number;
  alerts_missing: number;
  /** Delivered more than once; a kill repeats at most what was under way. */
  alerts_repeated: number;
  restart_ms_median: number;
  examples: string[];
}

interface Point {
  timestamp: string;
  actual: number | null;
  yhat: number | null;
  anomaly_score: number | null;
  scored: boolean;
}

interface Event {
  id: string;
}

const WARM_UP_ROUNDS = 150;
/** Long enough for some snapshots, and for removed segments where one process follows another. */
const MOST_UP_MS = 1500;
const CATCH_UP_MS = 600_000;

/**
 * Two gruards on one broker: one is killed with SIGKILL at random instants, start-up included, the other never. Everything that the broker acknowledged must come
 * out of both over REST, equal; and the alerts of the one must all have arrived.
 */
export async function crashCycles(options: { cycles: number; seed: number; devices?: number; roundMs?: number; progress?: (cycle: number) => void }): Promise<CrashReport> {
  const dir = mkdtempSync(join(tmpdir(), 'gruard-crash-'));
  const random = seededRandom(options.seed);
  const ends: (() => unknown)[] = [];
  // Where the run itself is ended, nothing stays behind either.
  const leave = (): void => {
    for (const end of ends) void end();
    rmSync(dir, { recursive: true, force: true });
  };
  process.once('exit', leave);
  try {
    mkdirSync(join(dir, 'mosquitto'));
    const broker = await Mosquitto.start({ dir: join(dir, 'mosquitto'), config: ['max_inflight_messages 200'] });
    ends.push(() => broker.stop('SIGKILL'));
    const receiver = await startReceiver();
    ends.push(() => receiver.close());
    const gruards = await Promise.all(['killed', 'spared'].map(async (name) => new Gruard(name, join(dir, name), await freePort(), settingsOf(name, broker.url, receiver.url))));
    const [killed, spared] = gruards;
    for (const gruard of gruards) {
      ends.push(() => gruard.end('SIGKILL'));
      // The session must be there before anything is published.
      await subscribeOnce(broker.url, gruard.name);
    }
    await spared.start();
    const devices = Array.from({ length: options.devices ?? 20 }, (_, i) => `press ${i}`);
    const fleet = new PublishingFleet(broker.url, devices, options.roundMs ?? 40, options.seed + 1);
    await fleet.start();
    ends.push(() => fleet.stop());
    // Past the warm-up, so that the kills fall among scores, events and alerts.
    while (fleet.rounds < WARM_UP_ROUNDS) await sleep(100);
    for (let cycle = 0; cycle < options.cycles; cycle++) {
      const ready = killed.start();
      if (random() < 0.25) await Promise.race([ready, sleep(random() * 1500)]);
      else await ready.then(() => sleep(random() * MOST_UP_MS));
      ready.catch(() => undefined);
      await killed.end('SIGKILL');
      options.progress?.(cycle + 1);
    }
    await fleet.stop();
    await killed.start();
    for (const gruard of gruards) await caughtUp(gruard, fleet);
    return await compare(options.cycles, killed, spared, fleet, receiver.received);
  } finally {
    for (const end of ends.reverse()) await Promise.resolve(end()).catch(() => undefined);
    process.off('exit', leave);
    rmSync(dir, { recursive: true, force: true });
  }
}

function settingsOf(name: string, mqttUrl: string, receiverUrl: string): object {
  return {
    time: 'event',
    model: { backend: 'wasm' },
    mqtt: { url: mqttUrl, client_id: name, topics: ['plant/#'] },
    // Small and often, so that kills fall into snapshots, segments and their removal.
    journal: { snapshot_interval_ms: 400, segment_bytes: 131_072 },
    alerts: { sinks: [{ name: 'receiver', kind: 'webhook', url: `${receiverUrl}/${name}`, max_per_minute: 0 }] },
    log: { format: 'json' },
  };
}

async function subscribeOnce(url: string, clientId: string): Promise<void> {
  const client = await connectAsync(url, { clientId, clean: false });
  await client.subscribeAsync('plant/#', { qos: 1 });
  await client.endAsync();
}

/** The last reading of every device is in the store, and no alert waits. */
async function caughtUp(gruard: Gruard, fleet: PublishingFleet): Promise<void> {
  const endMs = performance.now() + CATCH_UP_MS;
  for (const device of fleet.devices) {
    const last = fleet.acknowledged.get(device)?.at(-1);
    while (last !== undefined) {
      const response = await fetch(`${gruard.api}/v1/devices/${encodeURIComponent(device)}/series/${METRICS[0]}?limit=1`);
      const { items } = response.ok ? await response.json() as { items: Point[] } : { items: [] };
      if (items.length > 0 && Date.parse(items[0].timestamp) >= last) break;
      if (performance.now() > endMs) throw new Error(`gruard ${gruard.name} has not caught up with ${device} after ${CATCH_UP_MS} ms`);
      await sleep(100);
    }
  }
  // What was decided is still to be sent.
  while (await alertsWait(gruard)) {
    if (performance.now() > endMs) throw new Error(`gruard ${gruard.name} still has alerts to send after ${CATCH_UP_MS} ms`);
    await sleep(200);
  }
}

async function alertsWait(gruard: Gruard): Promise<boolean> {
  const { checks } = await (await fetch(`${gruard.api}/v1/health`)).json() as { checks: { name: string; detail: string }[] };
  return checks.some(({ name, detail }) => (name.startsWith('alert') && /^[1-9]\d* (notifications wait|records behind)/.test(detail)));
}

async function compare(cycles: number, killed: Gruard, spared: Gruard, fleet: PublishingFleet, received: Map<string, string[]>): Promise<CrashReport> {
  const report: CrashReport = {
    cycles, readings: 0, lost: 0, different: 0, events: 0, events_different: 0, alerts: 0, alerts_missing: 0, alerts_repeated: 0,
    restart_ms_median: Math.round(killed.readyMs.sort((a, b) => a - b)[killed.readyMs.length >> 1]), examples: [],
  };
  const say = (example: string): void => { if (report.examples.length < 10) report.examples.push(example); };
  for (const device of fleet.devices) {
    for (const metric of [...METRICS, '*']) {
      const path = `/v1/devices/${encodeURIComponent(device)}/series/${encodeURIComponent(metric)}?start=0`;
      const [mine, wanted] = await Promise.all([killed.all<Point>(path), spared.all<Point>(path)]);
      const byTime = new Map(mine.map((point) => [Date.parse(point.timestamp), point]));
      if (metric !== '*') {
        for (const atMs of fleet.acknowledged.get(device) ?? []) {
          report.readings++;
          if (byTime.has(atMs)) continue;
          report.lost++;
          say(`lost: ${device} ${metric} ${new Date(atMs).toISOString()}`);
        }
      }
      for (const point of wanted) {
        const got = byTime.get(Date.parse(point.timestamp));
        if (got && JSON.stringify(got) === JSON.stringify(point)) continue;
        report.different++;
        say(`${device} ${metric} ${point.timestamp}: ${differences(got, point)}`);
      }
    }
  }
  const [events, wantedEvents] = await Promise.all([killed, spared].map((gruard) => gruard.all<Event>('/v1/anomalies')));
  report.events = wantedEvents.length;
  for (const event of wantedEvents) {
    const got = events.find(({ id }) => id === event.id);
    const different = differences(got, event);
    if (different === '') continue;
    report.events_different++;
    say(`event ${event.id}: ${different}`);
  }
  const told = received.get('/killed') ?? [];
  const distinct = new Set(told.map(changeOf));
  const wantedTold = new Set((received.get('/spared') ?? []).map(changeOf));
  report.alerts = wantedTold.size;
  report.alerts_repeated = told.length - new Set(told).size;
  for (const key of wantedTold) {
    if (distinct.has(key) || key.endsWith(':updated')) continue;
    report.alerts_missing++;
    say(`alert missing: ${key.slice(0, 200)}`);
  }
  return report;
}

/** The fields in which the killed one differs from the spared one. */
function differences(got: object | undefined, wanted: object): string {
  if (!got) return 'missing';
  const mine = new Map(Object.entries(got));
  return Object.entries(wanted).filter(([key, value]) => JSON.stringify(mine.get(key)) !== JSON.stringify(value))
    .map(([key, value]) => `${key} is ${JSON.stringify(mine.get(key))}, never killed ${JSON.stringify(value)}`).join('; ');
}

/** EVENT:CHANGE of an idempotency key. Its number counts the updates before, which a sink that lags behind is told together. */
function changeOf(key: string): string {
  return key.slice(0, key.lastIndexOf(':'));
}
