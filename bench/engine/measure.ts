/** Something whose speed is wanted: `run` does one batch of work and `readings` says how many readings that was. */
export interface Candidate {
  name: string;
  readings: number;
  run: () => unknown;
}

/**
 * Readings a second of each candidate, one entry a round. The candidates take turns within a round, so that whatever else
 * the machine does meets all of them: ratios are to be taken round by round.
 */
export async function interleave(candidates: Candidate[], rounds: number, millisEach: number): Promise<Map<string, number[]>> {
  const rates = new Map<string, number[]>(candidates.map(({ name }) => [name, []]));
  for (const candidate of candidates) await rate(candidate, millisEach);
  for (let round = 0; round < rounds; round++) {
    for (const candidate of candidates) rates.get(candidate.name)?.push(await rate(candidate, millisEach));
  }
  return rates;
}

async function rate({ run, readings }: Candidate, millis: number): Promise<number> {
  const began = performance.now();
  let runs = 0;
  let elapsed = 0;
  while (elapsed < millis) {
    const result = run();
    if (result instanceof Promise) await result;
    runs++;
    elapsed = performance.now() - began;
  }
  return (runs * readings * 1000) / elapsed;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median over rounds of a's rate over b's. */
export function ratio(rates: Map<string, number[]>, a: string, b: string): number {
  const [above, below] = [rates.get(a) ?? [], rates.get(b) ?? []];
  return median(above.map((value, round) => value / below[round]));
}
