import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { backtest } from '../backtest.js';
import { openDetector } from '../model/detector.js';
import { readColumns } from './csv.js';
import { buildDevices } from './fleet/devices.js';
import { runDetector } from './harness.js';

const dir = mkdtempSync(join(tmpdir(), 'gruard-bench-'));
afterAll(() => rmSync(dir, { recursive: true }));

test.each([7, 1024])('the harness gives what a backtest of the same readings gives, in batches of %i', async (batchRows) => {
  const [{ input }] = buildDevices({ devices: 1, minRows: 300, maxRows: 400 });
  input.values[1][30] = NaN;
  input.timestampMs[50] = input.timestampMs[49];
  const [file, out] = [join(dir, 'in.csv'), join(dir, 'out.csv')];
  const cell = (x: number): string => (Number.isNaN(x) ? '' : String(x));
  const lines = [...input.timestampMs].map((ms, row) => [new Date(ms).toISOString(), ...input.values.map((values) => cell(values[row]))].join(','));
  writeFileSync(file, `${['timestamp', ...input.metrics].join(',')}\n${lines.join('\n')}\n`);
  await backtest(file, out, { device: input.device, openDetector: (fleet) => openDetector(fleet) });
  const columns = readColumns(out);
  const metric = columns.text('metric');
  const scores = columns.numbers('anomaly_score');
  const open = columns.numbers('in_event');
  const [output] = await runDetector((fleet) => openDetector(fleet), [input], { batchRows });
  for (const [name, series] of [...input.metrics.map((m, i) => [m, output.series[i]] as const), ['*', output.whole!] as const]) {
    const rows = metric.flatMap((one, row) => (one === name ? [row] : []));
    const kept = [...input.timestampMs.keys()].filter((row) => name === '*' || !Number.isNaN(input.values[input.metrics.indexOf(name)][row]));
    expect(rows).toHaveLength(kept.length);
    rows.forEach((row, k) => {
      expect(scores[row], `${name} row ${kept[k]}`).toBeCloseTo(series.score[kept[k]], 3);
      expect(open[row], `${name} row ${kept[k]}`).toBe(series.inEvent[kept[k]]);
    });
  }
});
