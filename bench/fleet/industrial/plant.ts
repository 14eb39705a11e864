import { gaussian } from '../../../core/random.js';
import { autoregressiveNoise, chance, uniform } from '../../../model/train/generator/draws.js';
import { faultAt, type IndustrialKind, type Metrics } from './kind.js';

const MEASURED = 12;
const CONTROLLED = 6;

/**
 * A chemical plant in closed loops: measurements follow a few hidden disturbances, some are held at a setpoint by a valve each, so that what disturbs them is seen in the valve.
 */
export const PLANT: IndustrialKind = {
  periodS: 180, rows: 4000, cleanRows: 1000, lasts: [120, 480],
  faults: ['step', 'random', 'drift', 'sticking', 'coupling'],
  run(random, rows, faults) {
    const hidden = [0.9, 0.97, 0.5, 0.99].map((phi) => autoregressiveNoise(random, rows, phi));
    const gains = Array.from({ length: MEASURED }, () => hidden.map(() => (chance(random, 0.4) ? uniform(random, -0.5, 0.5) : 0)));
    // What each kind of fault disturbs, and how strongly.
    const disturbs = new Map(this.faults.map((kind) => [kind, Array.from({ length: MEASURED }, () => (chance(random, 0.35) ? uniform(random, -1, 1) : 0))]));
    const strength = uniform(random, 2, 5);
    const noise = autoregressiveNoise(random, rows, 0.8);
    const out: Metrics = {};
    for (let m = 0; m < MEASURED; m++) out[`measured_${m}`] = new Float64Array(rows);
    for (let c = 0; c < CONTROLLED; c++) out[`valve_${c}`] = new Float64Array(rows);
    const valve = new Float64Array(CONTROLLED);
    const moved = new Float64Array(CONTROLLED);
    for (let t = 0; t < rows; t++) {
      const fault = faultAt(faults, t);
      const course = fault ? { step: 1, random: noise[t], drift: (t - fault.start) / (fault.end - fault.start), coupling: 0, sticking: 0 }[fault.kind] ?? 0 : 0;
      for (let m = 0; m < MEASURED; m++) {
        const share = fault?.kind === 'coupling' && m % 3 === 0 ? -1 : 1;
        let x = share * gains[m].reduce((sum, gain, k) => sum + gain * hidden[k][t], 0) + 0.4 * gaussian(random);
        if (fault) x += course * strength * (disturbs.get(fault.kind)?.[m] ?? 0);
        if (m < CONTROLLED) {
          // An integrating controller: what is off now is taken off in the next readings.
          const off = x - valve[m];
          valve[m] += 0.25 * off;
          if (!(fault?.kind === 'sticking' && m < 2) || Math.abs(valve[m] - moved[m]) > 1.5) moved[m] = valve[m];
          x -= moved[m];
          out[`valve_${m}`][t] = 50 + 6 * moved[m] + 0.1 * gaussian(random);
        }
        out[`measured_${m}`][t] = (m + 1) * (20 + x);
      }
    }
    return out;
  },
};
