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
}

/**
 * The rates of each candidate, one entry a round. The candidates take turns within a round, so that whatever else
 * the machine does meets all of them: ratios are to be taken round by round.
 */
export async function interleave(candidates: Candidate[], rounds: number, millisEach: number): Promise<Map<string, Rates>> {
  const rates = new Map<string, Rates>(candidates.map(({ name }) => [name, { wall: [], best: [] }]));
  for (const candidate of candidates) await rate(candidate, millisEach);
  for (let round = 0; round < rounds; round++) {
    for (const candidate of candidates) {
      const { wall, best } = await rate(candidate, millisEach);
      rates.get(candidate.name)?.wall.push(wall);
      rates.get(candidate.name)?.best.push(best);
    }
  }
  return rates;
}

/** Runs that take less than this are timed several at once. */
const SHORTEST_MILLIS = 0.3;

async function rate({ run, readings }: Candidate, millis: number): Promise<{ wall: number; best: number }> {
  // Threads of the candidate before may still spin.
  await new Promise((resolve) => setTimeout(resolve, 5));
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
  return { wall: (runs * readings * 1000) / (now - began), best: (readings * 1000) / shortest };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median over rounds of a's rate over b's. */
export function ratio(rates: Map<string, Rates>, a: string, b: string): number {
  const below = rates.get(b)?.wall ?? [];
  return median((rates.get(a)?.wall ?? []).map((value, round) => value / below[round]));
}

/** The same of the fastest runs of all rounds. */
export function ratioAtBest(rates: Map<string, Rates>, a: string, b: string): number {
  return Math.max(...(rates.get(a)?.best ?? [])) / Math.max(...(rates.get(b)?.best ?? []));
}

/** The median rate of a candidate. */
export function typical(rates: Map<string, Rates>, name: string): number {
  return median(rates.get(name)?.wall ?? []);
}
