import { setTimeout as timeout } from 'node:timers/promises';

/** Waits; returns early, without an error, when the signal is raised. Handed in, so that the simulation owns time. */
export type Sleep = (ms: number, signal?: AbortSignal) => Promise<void>;

export const systemSleep: Sleep = async (ms, signal) => {
  try {
    await timeout(ms, undefined, { signal });
  } catch (error) {
    if (!signal?.aborted) throw error;
  }
};

/** How long to wait before attempt number `attempt` (from 1): doubled each time up to `mostMs`, then spread over 50 to 100 % of it so that many do not come at once. */
export function backOffMs(attempt: number, firstMs: number, mostMs: number, random: () => number): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(attempt - 1, 30));
  return full * (0.5 + random() / 2);
}
