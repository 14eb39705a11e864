import { seededRandom, type Random } from '../../core/random.js';

/** Something whose speed is wanted: `run` does one batch of work and `readings` says how many readings that was. */
export interface Candidate {
  name: string;
  readings: number;
  run: () => unknown;
}

export interface Rates {
  /** Readings a second, one entry a round. */
  wall: number[];
  /** The same of the round's fastest run, which a busy machine interrupts least. */
  best: number[];
  /** Readings a second of CPU time, all threads together: what a busy machine disturbs less than the clock. */
  cpu: number[];
}

/**
 * The rates of each candidate, one entry a round. The candidates take turns within a round, so that whatever else
 * the machine does meets all of them: ratios are to be taken round by round.
 */
export async function interleave(candidates: Candidate[], rounds: number, millisEach: number): Promise<Map<string, Rates>> {
  const rates = new Map<string, Rates>(candidates.map(({ name }) => [name, { wall: [], best: [], cpu: [] }]));
  for (const candidate of candidates) await rate(candidate, millisEach);
  const random = seededRandom(1);
  for (let round = 0; round < rounds; round++) {
    // In another order each time: none always comes after the same one.
    for (const candidate of shuffled(candidates, random)) {
      const { wall, best, cpu } = await rate(candidate, millisEach);
      const own = rates.get(candidate.name);
      own?.wall.push(wall);
      own?.best.push(best);
      own?.cpu.push(cpu);
    }
  }
  return rates;
}

/** Waits until the threads of the candidate before have gone to sleep: while they spin they take a core, and count as CPU time. */
async function settled(): Promise<void> {
  for (let tries = 0; tries < SETTLE_TRIES; tries++) {
    const began = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MILLIS));
    const { user, system } = process.cpuUsage(began);
    if (user + system < 100 * SETTLE_MILLIS) return;
  }
}

const SETTLE_MILLIS = 5;
const SETTLE_TRIES = 40;

/** Runs that take less than this are timed several at once. */
const SHORTEST_MILLIS = 0.3;

async function rate({ run, readings }: Candidate, millis: number): Promise<{ wall: number; best: number; cpu: number }> {
  await settled();
  const cpuBegan = process.cpuUsage();
  const began = performance.now();
  let now = began;
  let runs = 0;
  let together = 1;
  let shortest = Infinity;
  while (now - began < millis) {
    const before = now;
    for (let i = 0; i < together; i++) {
      const result = run();
      if (result instanceof Promise) await result;
    }
    now = performance.now();
    runs += together;
    if (now - before < SHORTEST_MILLIS) together *= 2;
    else shortest = Math.min(shortest, (now - before) / together);
  }
  const { user, system } = process.cpuUsage(cpuBegan);
  return { cpu: (runs * readings * 1e6) / (user + system), wall: (runs * readings * 1000) / (now - began), best: (readings * 1000) / shortest };
}

function shuffled<T>(values: readonly T[], random: Random): T[] {
  const out = [...values];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median over rounds of a's rate over b's, by the clock or by CPU time. */
export function ratio(rates: Map<string, Rates>, a: string, b: string, by: 'wall' | 'cpu' = 'wall'): number {
  const below = rates.get(b)?.[by] ?? [];
  return median((rates.get(a)?.[by] ?? []).map((value, round) => value / below[round]));
}

/** The same of the fastest runs of all rounds. */
export function ratioAtBest(rates: Map<string, Rates>, a: string, b: string): number {
  return Math.max(...(rates.get(a)?.best ?? [])) / Math.max(...(rates.get(b)?.best ?? []));
}

/** The median rate of a candidate. */
export function typical(rates: Map<string, Rates>, name: string): number {
  return median(rates.get(name)?.wall ?? []);
}
