import { gaussian } from '../../../core/random.js';
import { autoregressiveNoise, chance, exponential, uniform } from '../../../model/train/generator/draws.js';
import { faultAt, metricsOf, type IndustrialKind } from './kind.js';

const NAMES = [
  'cpu', 'load_1', 'load_5', 'load_15', 'memory', 'cache', 'swap', 'disk_read', 'disk_write', 'disk_wait', 'disk_use', 'net_in', 'net_out', 'packets_in', 'packets_out',
  'connections', 'retransmits', 'errors', 'processes', 'threads', 'open_files', 'interrupts', 'switches', 'temperature',
] as const;
const DAY_ROWS = 1440;

/** A server: what is asked of it goes with the day and comes in bursts, most metrics follow that, some are nearly always 0. A job writes each night. */
export const SERVER: IndustrialKind = {
  periodS: 60, rows: 12_000, cleanRows: 5760, lasts: [30, 400],
  faults: ['runaway', 'memory_leak', 'disk_slow', 'network', 'connections', 'thrashing'],
  run(random, rows, faults) {
    const out = metricsOf(NAMES, rows);
    const wander = autoregressiveNoise(random, rows, 0.98);
    const capacity = uniform(random, 0.15, 0.35);
    const jobAt = Math.floor(uniform(random, 0, 300));
    let [burst, load5, load15, held, disk, temperature] = [0, 0, 0, 0, 40, 45];
    for (let t = 0; t < rows; t++) {
      const fault = faultAt(faults, t);
      const is = (kind: string): number => (fault?.kind === kind ? 1 : 0);
      const day = 0.5 + 0.5 * Math.sin((2 * Math.PI * (t % DAY_ROWS)) / DAY_ROWS - 1.5);
      burst = 0.85 * burst + (chance(random, 0.01) ? exponential(random, 0.6) : 0);
      const asked = Math.max(0.05, 0.4 + day + 0.08 * wander[t] + burst);
      const job = t % DAY_ROWS >= jobAt && t % DAY_ROWS < jobAt + 25 ? 1 : 0;
      const cpu = Math.min(99, 100 * capacity * asked * (1 + 0.05 * gaussian(random)) + 15 * job + 45 * is('runaway') + 25 * is('thrashing'));
      held = is('memory_leak') ? held + 0.12 : 0.9 * held;
      disk = disk > 78 ? 42 : disk + 0.003 * (1 + job);
      temperature += (38 + 0.3 * cpu - temperature) / 12;
      const noisy = (x: number, share = 0.05): number => Math.max(0, x * (1 + share * gaussian(random)));
      const running = cpu / 25;
      load5 += (running - load5) / 5;
      load15 += (running - load15) / 15;
      fill(out, t, {
        cpu, load_1: noisy(running), load_5: load5, load_15: load15,
        memory: 52 + 4 * day + held + 0.3 * gaussian(random), cache: 30 - held - 3 * job + 0.4 * gaussian(random), swap: is('thrashing') * noisy(20) + (held > 15 ? held - 15 : 0),
        disk_read: noisy(20 * asked, 0.2) + 300 * is('thrashing'), disk_write: noisy(40 * asked, 0.2) + 400 * job, disk_wait: noisy(2 + job, 0.15) + is('disk_slow') * noisy(14) + 6 * is('thrashing'), disk_use: disk,
        net_in: noisy(120 * asked * (1 - 0.7 * is('network'))), net_out: noisy(300 * asked * (1 - 0.7 * is('network'))), packets_in: noisy(900 * asked), packets_out: noisy(1100 * asked),
        connections: Math.round(noisy(200 * asked) + 350 * is('connections')), retransmits: chance(random, 0.03) ? 1 : 12 * is('network'), errors: chance(random, 0.002) ? 1 : chance(random, 0.3) ? is('connections') : 0,
        processes: Math.round(180 + 3 * gaussian(random) + 4 * job), threads: Math.round(600 + 40 * asked + 5 * gaussian(random) + 300 * is('connections')), open_files: Math.round(4000 + 300 * asked + 20 * gaussian(random) + 10 * held),
        interrupts: noisy(2000 * asked + 40 * cpu), switches: noisy(5000 * asked + 90 * cpu + 20_000 * is('thrashing')), temperature: Math.round(temperature),
      });
    }
    return out;
  },
};

function fill(out: Record<(typeof NAMES)[number], Float64Array>, row: number, values: Record<(typeof NAMES)[number], number>): void {
  for (const name of NAMES) out[name][row] = values[name];
}

