import { EmbeddedStore } from '../../store/results/embedded.js';
import { anomaly, Rows } from './results.js';

/** Writes batch after batch into an embedded store and prints each number once it is written, until it is killed: `results-writer.ts FILE FIRST`. */
const [path, first] = process.argv.slice(2);
const store = new EmbeddedStore({ path });
await store.open();
const rows = new Rows();
for (let n = Number(first); ; n++) {
  const batch = rows.batch(
    Array.from({ length: 10 }, (_, i) => ({ device: 'd', metric: `m${i}`, atMs: n * 1000, value: n, yhat: n })),
    { events: n % 10 === 0 ? [anomaly({ id: `e${n}`, openedMs: n })] : [] },
  );
  await store.write(batch, rows.fleet, n);
  process.stdout.write(`${n}\n`);
}
