/** Rows of a device that are flagged and faulty, flagged, or faulty. */
export interface Counts {
  hit: number;
  false: number;
  missed: number;
}

/** Row by row, from one on. @param flag [rows] and @param faulty [rows] 1 where it is */
export function compare(flag: Uint8Array, faulty: Uint8Array, from: number): Counts {
  const counts = { hit: 0, false: 0, missed: 0 };
  for (let row = from; row < faulty.length; row++) {
    if (flag[row] && faulty[row]) counts.hit++;
    else if (flag[row]) counts.false++;
    else if (faulty[row]) counts.missed++;
  }
  return counts;
}

export function add(into: Counts, more: Counts): void {
  for (const key of ['hit', 'false', 'missed'] as const) into[key] += more[key];
}

export const none = (): Counts => ({ hit: 0, false: 0, missed: 0 });

/** The same of a flag that is always on. */
export function compareAlwaysOn(faulty: Uint8Array, from: number): Counts {
  return compare(new Uint8Array(faulty.length).fill(1), faulty, from);
}

export function precision({ hit, false: wrong }: Counts): number {
  return hit / Math.max(1, hit + wrong);
}

export function recall({ hit, missed }: Counts): number {
  return hit / Math.max(1, hit + missed);
}

export function f1({ hit, false: wrong, missed }: Counts): number {
  return hit === 0 ? 0 : (2 * hit) / (2 * hit + wrong + missed);
}
