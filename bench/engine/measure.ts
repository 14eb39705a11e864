/** Something whose speed is wanted: `run` does one batch of work and `readings` says how many readings that was. */
export interface Candidate {
  name: string;
  readings: number;
  run: () => unknown;
}

export interface Rates {
  /** Readings a second, one entry a round. */
  wall: number[];
  /** Readings a second of CPU time, all threads of the process counted: what a busy machine leaves standing. */
  cpu: number[];
}

/**
 * The rates of each candidate, one entry a round. The candidates take turns within a round, so that whatever else
 * the machine does meets all of them: ratios are to be taken round by round.
 */
export async function interleave(candidates: Candidate[], rounds: number, millisEach: number): Promise<Map<string, Rates>> {
  const rates = new Map<string, Rates>(candidates.map(({ name }) => [name, { wall: [], cpu: [] }]));
  for (const candidate of candidates) await rate(candidate, millisEach);
  for (let round = 0; round < rounds; round++) {
    for (const candidate of candidates) {
      const { wall, cpu } = await rate(candidate, millisEach);
      rates.get(candidate.name)?.wall.push(wall);
      rates.get(candidate.name)?.cpu.push(cpu);
    }
  }
  return rates;
}

async function rate({ run, readings }: Candidate, millis: number): Promise<{ wall: number; cpu: number }> {
  // Threads of the candidate before may still spin.
  await new Promise((resolve) => setTimeout(resolve, 5));
  const usage = process.cpuUsage();
  const began = performance.now();
  let runs = 0;
  let elapsed = 0;
  while (elapsed < millis) {
    const result = run();
    if (result instanceof Promise) await result;
    runs++;
    elapsed = performance.now() - began;
  }
  const { user, system } = process.cpuUsage(usage);
  return { wall: (runs * readings * 1000) / elapsed, cpu: (runs * readings * 1e6) / (user + system) };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median over rounds of a's rate over b's. */
export function ratio(rates: Map<string, Rates>, a: string, b: string, by: keyof Rates = 'wall'): number {
  const below = rates.get(b)?.[by] ?? [];
  return median((rates.get(a)?.[by] ?? []).map((value, round) => value / below[round]));
}

/** The median rate of a candidate. */
export function typical(rates: Map<string, Rates>, name: string, by: keyof Rates = 'wall'): number {
  return median(rates.get(name)?.[by] ?? []);
}
