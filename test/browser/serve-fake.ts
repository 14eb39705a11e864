import { parseArgs } from 'node:util';
import { buildServer, hashToken, listen } from '../../api/server.js';
import { systemClock } from '../../core/clock.js';
import type { AnomalyKind, Severity } from '../../core/event.js';
import { FakeService } from './fake-service.js';

/** The API and the page over a made-up fleet that lives at 60 times the speed of time: `npx tsx test/browser/serve-fake.ts [--port 8490] [--token secret] [--devices 120]`. */

const MINUTE = 60_000;

export function liveFleet(devices: number, nowMs: number): FakeService {
  const service = new FakeService(nowMs, devices);
  if (devices === 0) return service;
  const names = [...service.devicesByName.keys()];
  const past: [number, number, number, AnomalyKind, number, Severity][] = [[5, 1900, 160, 'shift', 2.4, 'warning'], [8, 1210, 40, 'spike', 4.1, 'critical'], [1, 700, 220, 'drift', 2.2, 'warning'], [22, 420, 30, 'variance', 1.6, 'info'], [13, 260, 90, 'shift', -2.8, 'warning']];
  for (const [at, ago, length, kind, size, severity] of past) inject(service, names[at % names.length], ago, length, kind, size, severity);
  inject(service, names[0], 95, 1e6, 'drift', 3.4, 'critical');
  inject(service, names[9 % names.length], 38, 1e6, 'shift', 2.1, 'warning');
  inject(service, names[30 % names.length], 12, 1e6, 'pattern', 1.4, 'info');
  service.addVerdict({ id: 'v1', device: names[17 % names.length], metric: null, kind: 'silent', sinceMs: nowMs - 47 * MINUTE, untilMs: null, reason: 'no reading for 47 min; it usually sends every 60 s' });
  service.addVerdict({ id: 'v2', device: names[26 % names.length], metric: 'humidity', kind: 'stuck', sinceMs: nowMs - 200 * MINUTE, untilMs: null, reason: 'humidity has been exactly 46.2 for 200 readings' });
  return service;
}

function inject(service: FakeService, device: string, minutesAgo: number, minutes: number, kind: AnomalyKind, size: number, severity: Severity): void {
  const startMs = Math.floor(service.nowMs / MINUTE) * MINUTE - minutesAgo * MINUTE;
  const { metric } = service.devicesByName.get(device)!.series[0];
  service.addFault({ device, metric, startMs, endMs: startMs + minutes * MINUTE, kind, size }, severity);
}

if (process.argv[1]?.endsWith('serve-fake.ts')) {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '8490' }, token: { type: 'string' }, devices: { type: 'string', default: '120' } } });
  const service = liveFleet(Number(values.devices), systemClock.nowMs());
  const options = {
    host: '127.0.0.1', port: Number(values.port), onError: console.error,
    tokens: values.token ? [{ name: 'dev', sha256: hashToken(values.token), scopes: ['admin' as const] }] : [],
  };
  const server = buildServer(service, options);
  const { port } = await listen(server, options);
  console.log(`http://127.0.0.1:${port}/`);
  const startedMs = service.nowMs;
  let ticks = 0;
  setInterval(() => {
    service.advance(1);
    if (++ticks % 30 === 0 && service.devicesByName.size > 0) {
      const names = [...service.devicesByName.keys()];
      inject(service, names[(ticks * 7) % names.length], 0, 25, ticks % 60 === 0 ? 'spike' : 'shift', 2.7, ticks % 90 === 0 ? 'critical' : 'warning');
    }
    for (const event of service.events.values()) if (event.state === 'open' && event.openedMs > startedMs && service.nowMs - event.openedMs > 20 * MINUTE) service.resolve(event.id);
  }, 1000);
  process.on('SIGTERM', () => void server.close().then(() => process.exit(0)));
}
