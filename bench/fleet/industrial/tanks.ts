import type { Random } from '../../../core/random.js';
import { gaussian } from '../../../core/random.js';
import { autoregressiveNoise, uniform } from '../../../model/train/generator/draws.js';
import { faultAt, metricsOf, type IndustrialKind } from './kind.js';

const NAMES = ['level_1', 'inflow', 'valve', 'transfer', 'pump_1', 'level_2', 'outflow', 'pump_2', 'pressure', 'conductivity', 'acidity'] as const;
const VALVE_STEPS = 2;

/**
 * Two tanks in a row, each filled by what is switched at its low and its high mark: a valve lets water into the first, a pump takes it to the second, from which another
 * takes what is used. Levels go up and down in teeth whose length depends on demand; flows are 0 while what drives them is off.
 */
export const TANKS: IndustrialKind = {
  periodS: 10, rows: 9000, cleanRows: 3000, lasts: [60, 360],
  faults: ['level_offset', 'level_frozen', 'valve_shut', 'pump_off', 'leak', 'dosing', 'demand'],
  run(random, rows, faults) {
    const out = metricsOf(NAMES, rows);
    const chemistry = slowly(random, rows);
    const demandNoise = autoregressiveNoise(random, rows, 0.995);
    const rate = { inflow: uniform(random, 2.2, 2.8), transfer: uniform(random, 1.8, 2.1), outflow: uniform(random, 1.1, 1.5) };
    const low = 500;
    const high = 800;
    let [level1, level2] = [uniform(random, low, high), uniform(random, low, high)];
    let [filling, moving] = [false, false];
    let opened = 0;
    let frozen = NaN;
    let dosed = 0;
    for (let t = 0; t < rows; t++) {
      const kind = faultAt(faults, t)?.kind;
      frozen = kind === 'level_frozen' ? (Number.isNaN(frozen) ? level1 : frozen) : NaN;
      const seen1 = Number.isNaN(frozen) ? level1 + (kind === 'level_offset' ? 90 : 0) + 0.7 * gaussian(random) : frozen;
      if (seen1 < low) filling = true;
      if (seen1 > high) filling = false;
      if (level2 < low + 50) moving = true;
      if (level2 > high - 50) moving = false;
      opened = step(opened, filling && kind !== 'valve_shut' ? VALVE_STEPS : 0);
      const pumping = moving && level1 > 250 && kind !== 'pump_off';
      const demand = kind === 'demand' ? 1.6 : 1 + 0.08 * demandNoise[t];
      const inflow = (rate.inflow * opened) / VALVE_STEPS;
      const transfer = pumping ? rate.transfer : 0;
      const outflow = level2 > 150 ? rate.outflow * demand : 0;
      level1 = Math.min(1200, Math.max(120, level1 + 5 * (inflow - transfer) - (kind === 'leak' ? 4 : 0)));
      level2 = Math.min(1200, Math.max(120, level2 + 5 * (transfer - outflow)));
      dosed += ((kind === 'dosing' ? 1 : 0) - dosed) / 40;
      const flow = (x: number): number => (x > 0 ? x * (1 + 0.01 * gaussian(random)) : 0);
      out.level_1[t] = seen1;
      out.inflow[t] = flow(inflow);
      out.valve[t] = opened === 0 ? 1 : opened === VALVE_STEPS ? 2 : 0;
      out.transfer[t] = flow(transfer);
      out.pump_1[t] = pumping ? 2 : 1;
      out.level_2[t] = level2 + 0.7 * gaussian(random);
      out.outflow[t] = flow(outflow);
      out.pump_2[t] = outflow > 0 ? 2 : 1;
      out.pressure[t] = pumping ? 180 + 8 * transfer + 0.8 * gaussian(random) : 12 + 0.3 * gaussian(random);
      out.conductivity[t] = 260 + 4 * chemistry[t] + 30 * dosed + 0.3 * gaussian(random);
      out.acidity[t] = 8.4 + 0.05 * chemistry[t] - 0.35 * dosed + 0.004 * gaussian(random);
    }
    return out;
  },
};

function step(now: number, wanted: number): number {
  return now + Math.sign(wanted - now);
}

/** A course that hardly moves from one reading to the next, about 0 and some units wide. */
function slowly(random: Random, rows: number): Float64Array {
  return autoregressiveNoise(random, rows, 0.9995);
}
