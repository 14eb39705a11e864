import { gaussian } from '../../../core/random.js';
import { autoregressiveNoise, uniform } from '../../../model/train/generator/draws.js';
import { faultAt, metricsOf, type IndustrialKind } from './kind.js';

const NAMES = ['pressure', 'reservoir', 'discharge', 'drying', 'oil_temperature', 'current', 'running', 'valve', 'tower'] as const;

/** A compressor that fills a reservoir between two marks, faster used by day than by night, with two towers that dry the air in turn; its oil is as warm as it works. */
export const COMPRESSOR: IndustrialKind = {
  periodS: 10, rows: 20_000, cleanRows: 8640, lasts: [120, 900],
  faults: ['air_leak', 'oil_leak', 'weak', 'tower_stuck'],
  run(random, rows, faults) {
    const out = metricsOf(NAMES, rows);
    const use = autoregressiveNoise(random, rows, 0.99);
    const drawn = uniform(random, 0.01, 0.016);
    let [pressure, oil, running, tower, worked] = [9, 62, false, 0, 0];
    let hot = 0;
    for (let t = 0; t < rows; t++) {
      const kind = faultAt(faults, t)?.kind;
      const hours = (t * 10) / 3600;
      const byDay = 1 + 0.35 * Math.sin((2 * Math.PI * hours) / 24);
      if (pressure < 8.2) running = true;
      if (pressure > 10.1) running = false;
      const used = Math.max(0.002, drawn * (byDay + 0.15 * use[t])) * (kind === 'air_leak' ? 2.5 : 1);
      pressure += (running ? (kind === 'weak' ? 0.035 : 0.055) : 0) - used;
      hot += ((kind === 'oil_leak' ? 1 : 0) - hot) / 60;
      oil += ((running ? 76 : 55) + 14 * hot - oil) / 90;
      if (running && ++worked % 12 === 0 && kind !== 'tower_stuck') tower = 1 - tower;
      out.pressure[t] = pressure + 0.01 * gaussian(random);
      out.reservoir[t] = pressure - 0.01 + 0.006 * gaussian(random);
      out.discharge[t] = running ? pressure + 0.4 + 0.02 * gaussian(random) : -0.012 + 0.002 * gaussian(random);
      out.drying[t] = running ? pressure - 0.2 - 0.8 * tower + 0.02 * gaussian(random) : pressure + 0.01 * gaussian(random);
      out.oil_temperature[t] = Math.round(40 * (oil + 0.05 * gaussian(random))) / 40;
      out.current[t] = running ? 5.8 + 0.1 * (pressure - 9) + 0.03 * gaussian(random) + (kind === 'weak' ? 0.3 : 0) : 0.04 + 0.003 * gaussian(random);
      out.running[t] = running ? 1 : 0;
      out.valve[t] = running ? 0 : 1;
      out.tower[t] = tower;
    }
    return out;
  },
};
