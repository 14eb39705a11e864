import { mkdirSync, writeFileSync } from 'node:fs';
import { Batch, FLAG } from '../core/batch.js';
import { Fleet } from '../core/fleet.js';
import { shippedFile } from '../core/paths.js';
import { gaussian, seededRandom, type Random } from '../core/random.js';
import { openDetector } from '../model/detector.js';

/** Draws docs/images/detection-*.svg: what each kind of fault looks like to the detector. Run: npx tsx scripts/detection-plots.ts */

const PERIOD_MS = 600_000;
const LEARN = 2000;
const SHOWN_BEFORE = 150;
const SHOWN = 400;
const WIDTH = 760;
const HEIGHT = 170;

interface Example {
  name: string;
  title: string;
  value(t: number, random: Random, last: number): number;
}

const wave = (t: number, random: Random): number => 20 + 3 * Math.sin((2 * Math.PI * t) / 144) + 0.4 * gaussian(random);
const on = (t: number, from: number, to: number): boolean => t >= LEARN + from && t < LEARN + to;

const EXAMPLES: Example[] = [
  { name: 'spike', title: 'spike: one reading', value: (t, r) => wave(t, r) + (on(t, 0, 1) ? 9 : 0) },
  { name: 'shift', title: 'level shift: 120 readings', value: (t, r) => wave(t, r) + (on(t, 0, 120) ? 7 : 0) },
  { name: 'drift', title: 'drift: 9 in 160 readings', value: (t, r) => wave(t, r) + (on(t, 0, 160) ? (9 * (t - LEARN)) / 160 : 0) },
  { name: 'burst', title: 'burst of variance: 60 readings', value: (t, r) => wave(t, r) + (on(t, 0, 60) ? 2.5 * gaussian(r) : 0) },
  { name: 'stuck', title: 'stuck: 60 readings', value: (t, r, last) => (on(t, 1, 60) ? last : wave(t, r)) },
  { name: 'cycle', title: 'missed cycle: one of 48 readings', value: (t, r) => (t % 48 < 16 && !on(t, 0, 48) ? 5 : 1) + 0.1 * gaussian(r) },
];

interface Row { value: number; lower: number; upper: number; score: number; inEvent: boolean }

async function judge(example: Example): Promise<Row[]> {
  const fleet = new Fleet();
  const detector = await openDetector(fleet);
  const { device } = fleet.addDevice('plot', {}, 0);
  const { slot } = fleet.addSeries(device, 'value');
  const batch = new Batch(2);
  const random = seededRandom(7);
  const rows: Row[] = [];
  for (let t = 0; t < LEARN - SHOWN_BEFORE + SHOWN; t++) {
    const value = example.value(t, random, rows.at(-1)?.value ?? 0);
    batch.reset();
    batch.nowMs = t * PERIOD_MS;
    batch.push(fleet.idOfSlot(slot), slot, batch.nowMs, value, 0);
    detector.step(batch);
    rows.push({
      value, lower: batch.yhatLower[0], upper: batch.yhatUpper[0], score: batch.anomalyScore[0], inEvent: (batch.flags[0] & FLAG.IN_EVENT) !== 0,
    });
  }
  return rows.slice(LEARN - SHOWN_BEFORE);
}

function draw(title: string, rows: Row[]): string {
  const all = rows.map((row) => row.value);
  const low = Math.min(...all);
  const high = Math.max(...all);
  const x = (k: number): string => ((k / rows.length) * WIDTH).toFixed(1);
  const y = (v: number): string => (HEIGHT - 12 - ((Math.min(high + 1, Math.max(low - 1, v)) - low + 1) / (high - low + 2)) * (HEIGHT - 40)).toFixed(1);
  const band = `${rows.map((row, k) => `${x(k)},${y(row.upper)}`).join(' ')} ${rows.map((row, k) => `${x(k)},${y(row.lower)}`).reverse().join(' ')}`;
  const events = rows.map((row, k) => (row.inEvent ? `<rect x="${x(k)}" y="24" width="${(WIDTH / rows.length + 0.3).toFixed(1)}" height="${HEIGHT - 24}" fill="#d64545" opacity=".14"/>` : '')).join('');
  const alarms = rows.map((row, k) => (row.score > 1 ? `<circle cx="${x(k)}" cy="${y(row.value)}" r="4" fill="#d64545"/>` : '')).join('');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/><text x="6" y="16" fill="#333">${title}</text>${events}
<polygon points="${band}" fill="#3b82c4" opacity=".22"/>
<polyline points="${rows.map((row, k) => `${x(k)},${y(row.value)}`).join(' ')}" fill="none" stroke="#234" stroke-width="1"/>${alarms}
</svg>\n`;
}

const folder = shippedFile('docs/images');
mkdirSync(folder, { recursive: true });
for (const example of EXAMPLES) writeFileSync(`${folder}/detection-${example.name}.svg`, draw(example.title, await judge(example)));
