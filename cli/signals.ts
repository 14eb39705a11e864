/** Resolves with the signal's name; rejects when `failed` does. A second signal ends the process at once. */
export function stopSignal(failed: Promise<never>, also: Promise<string> = new Promise(() => undefined)): Promise<string> {
  const signal = new Promise<string>((resolve) => {
    let seen = false;
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      process.on(name, () => {
        if (seen) process.exit(1);
        seen = true;
        resolve(name);
      });
    }
  });
  return Promise.race([signal, failed, also]);
}
