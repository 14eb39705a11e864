import { VariableType, type Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOSTILE, runFleet, type FleetRun } from '../test/flow/fleet-run.js';
import { until } from '../test/flow/gruard.js';
import { findInfluxd } from '../test/servers/influxd.js';
import { prometheusPath, startPrometheus, type Prometheus, type Sample } from '../test/servers/prometheus.js';
import { WATCHES, type Watch } from './alerts.js';
import { dashboards, panelsOf } from './generate.js';
import { ALL, interpolate, type Interpolation } from './interpolate.js';
import { UID } from './links.js';
import type { InfluxQuery } from './queries.js';

interface Case {
  name: string;
  query: string;
}

const all = dashboards();
const influx: Case[] = all.flatMap((one) => [...panelCases(one), ...variableCases(one), ...annotationCases(one)]);
const prometheus: Case[] = [
  ...all.flatMap((one) => targetsOf(one).flatMap(({ name, target }) => ('expr' in target ? [{ name, query: String(target.expr) }] : []))),
  ...WATCHES.flatMap(({ title, query }) => ('prometheus' in query ? [{ name: title, query: query.prometheus }] : [])),
];
const watches: Case[] = WATCHES.flatMap(({ title, query }) => ('influx' in query ? [{ name: title, query: query.influx }] : []));

/** Only where the fleet of the run has none: an info event, or a reading that came late. */
const NO_ROWS = /info|warning/;

describe.skipIf(findInfluxd() === undefined)('the queries of the dashboards, on a real InfluxDB with the data of a real run', () => {
  let run: FleetRun;
  let context: Interpolation;

  beforeAll(async () => {
    run = await runFleet();
    context = {
      fromMs: run.fromMs, toMs: run.toMs, intervalMs: 300_000,
      variables: { device: 'press-2', metric: 'temperature', devices: ['oven-1', 'press-2'], severity: ['critical', 'warning', 'info'], state: ['open', 'resolved'], kind: [] },
    };
    context.variables.kind = (await run.query('SELECT distinct("kind") AS "kind" FROM "gruard_events"')).map(({ kind }) => kind as string);
  }, 120_000);
  afterAll(() => run.close());

  it.each(influx)('$name: rows', async ({ name, query }) => {
    const device = /health|Unhealthy/i.test(name) ? 'pump-3' : /Resolved/.test(name) ? 'oven-1' : 'press-2';
    const rows = await run.query(interpolate(query, { ...context, variables: { ...context.variables, device: name.includes('explorer') ? ALL : device, metric: name.includes('explorer') ? ALL : 'temperature' } }));
    if (!NO_ROWS.test(query.split('AND "severity" = ').at(-1)!.slice(0, 10))) expect(rows.length, query).toBeGreaterThan(0);
  });

  it('answer with the columns and series that the panels name', async () => {
    for (const dashboard of all) {
      const explorer = dashboard.uid === UID.explorer;
      for (const { title, type, targets = [], fieldConfig } of panelsOf(dashboard)) {
        const named = fieldConfig!.overrides.filter(({ matcher }) => matcher.id === 'byName').map(({ matcher }) => String(matcher.options));
        const aliases = targets.map((target) => (target as InfluxQuery).alias ?? (target as unknown as { legendFormat?: string }).legendFormat);
        if (type !== 'table') {
          expect(aliases, `${dashboard.uid!} ${title!}`).toEqual(expect.arrayContaining(named));
          continue;
        }
        const device = title === 'Health verdicts' ? 'pump-3' : 'press-2';
        const [row] = await run.query(interpolate((targets[0] as InfluxQuery).query, { ...context, variables: { ...context.variables, ...(explorer ? { device: ALL, metric: ALL } : { device }) } }));
        const columns = ['Time', ...Object.keys(row)];
        const linked = [...JSON.stringify(fieldConfig).matchAll(/__data\.fields\.(\w+)/g)].map(([, column]) => column);
        expect(columns, `${dashboard.uid!} ${title!}`).toEqual(expect.arrayContaining([...named, ...linked]));
      }
    }
  });

  it('find the fault where it is', async () => {
    const panel = targetsOf(all[1]).find(({ target }) => 'alias' in target && target.alias === 'anomalous')!.target as InfluxQuery;
    const rows = await run.query(interpolate(panel.query, context));
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.some(({ actual }) => (actual as number) > 25)).toBe(true);
  });

  it('count readings a second, also where a minute had none', async () => {
    const targets = targetsOf(all[0]).filter(({ target }) => 'alias' in target && target.alias === 'readings').map(({ target }) => (target as InfluxQuery).query);
    const [total] = await run.query('SELECT count("actual") AS "readings" FROM "gruard_readings"');
    const perSecond = (total.readings as number) / ((run.toMs - run.fromMs) / 1000);
    const [[over], steps] = await Promise.all(targets.map((query) => run.query(interpolate(query, context))));
    expect(Object.values(over)[1]).toBeCloseTo(perSecond, 6);
    expect(steps.reduce((sum, step) => sum + (Object.values(step)[1] as number) * 300, 0)).toBeCloseTo(total.readings as number, 3);
  });

  it.each(watches)('$name: alerts on the faults of the run, by device', async ({ query }) => {
    expect((await run.query(query)).map(({ device }) => device)).toContain(query.includes('silent') ? 'pump-3' : 'press-2');
  });

  it.each(WATCHES)('$title: says so in words, and of what', async (watch) => {
    const samples = 'influx' in watch.query ? await firing(watch, watch.query.influx) : await measured(watch.query.prometheus);
    const said = samples.map(({ labels, value }) => [watch.summary, watch.description].map((text) => render(text, labels, value)).join('\n'));
    expect(said.join('\n\n')).toMatch(RECORDED[watch.uid]);
    for (const text of said) expect(text).not.toMatch(/[{}]|undefined|NaN/);
  });

  /** As the rule does: the newest value by label, against the limit. */
  async function firing(watch: Watch, query: string): Promise<Sample[]> {
    const newest = new Map<string, Sample>();
    for (const row of await run.query(query)) {
      const labels = Object.fromEntries(Object.entries(row).filter(([key]) => key === 'device' || key === 'metric')) as Record<string, string>;
      const value = Object.entries(row).find(([key]) => key !== 'time' && !Object.hasOwn(labels, key))![1] as number | null;
      if (value !== null) newest.set(JSON.stringify(labels), { labels, value });
    }
    return [...newest.values()].filter(({ value }) => (watch.below ? value < watch.limit : value > watch.limit));
  }

  /** Nothing is behind in the run, so that no expression is beyond its limit: labels are those that gruard's own measures have, the value stands for one beyond the limit. */
  async function measured(query: string): Promise<Sample[]> {
    const text = await (await fetch(new URL('metrics', run.gruard.addresses.page))).text();
    const by = /by \((\w+)\)/.exec(query)?.[1];
    if (by === undefined) return [{ labels: {}, value: 12_345 }];
    const measure = /\b(gruard_\w+)/.exec(query)![1];
    return [...text.matchAll(new RegExp(`^${measure}\\{[^}]*\\b${by}="([^"]+)"`, 'gm'))].map(([, label]) => ({ labels: { [by]: label }, value: 12_345 }));
  }

  it('take any name for a device, and nothing in it for a part of the query', async () => {
    const [, device] = all;
    const values = targetsOf(device).find(({ target }) => 'alias' in target && target.alias === 'actual')!.target as InfluxQuery;
    const devices = await run.query(influx.find(({ name }) => name === 'gruard-device variable device')!.query);
    const stored = devices.map(({ value }) => value as string).find((name) => name.startsWith('o\'ven'))!;
    expect(stored).toBe(HOSTILE.replace('\\', '%5C'));
    const of = (name: string) => run.query(interpolate(values.query, { ...context, variables: { ...context.variables, device: name } }));
    expect(await of(stored)).not.toEqual([]);
    for (const name of ['.*', 'oven', 'x$/ OR "device" =~ /.*', 'x\\', 'x\\$/ OR "device" =~ /.*', "x' OR 1 = 1; DROP DATABASE gruard; --"]) expect(await of(name), name).toEqual([]);
    // InfluxQL has no regular expression over lines; names are stored with %0A.
    await expect(of('x\n')).rejects.toThrow('bad regex');
    expect(await of('press-2')).not.toEqual([]);
  });

  it('of Prometheus name only measures that gruard has, with labels that they have', async () => {
    const text = await (await fetch(new URL('metrics', run.gruard.addresses.page))).text();
    const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
    expect(prometheus.length).toBeGreaterThan(25);
    for (const { name, query } of prometheus) {
      const used = [...query.matchAll(/\b(gruard|process|nodejs)_\w+/g)].map(([word]) => word);
      if (used.length === 0) expect(query, name).toContain('up{job="gruard"}');
      for (const word of used) {
        const base = word.replace(/_(bucket|count|sum)$/, '');
        expect(types.has(word) || types.get(base) === 'histogram', `${name}: ${word}`).toBe(true);
        if (/rate\(|increase\(/.test(query)) expect(types.get(word) ?? types.get(base), `${name}: ${word}`).toMatch(/counter|histogram/);
      }
    }
    // Sources that are no Kafka have no peer that keeps messages for them.
    const absent = new Set(['gruard_source_lag_messages']);
    let grouped = 0;
    for (const { name, query } of prometheus) {
      for (const [, labels, measure] of query.matchAll(/by \(([\w, ]+)\) \((?:rate\()?(\w+)/g)) {
        if (absent.has(measure)) continue;
        for (const label of labels.split(', ')) expect(text, `${name}: ${measure} has no ${label}`).toMatch(new RegExp(`^${measure}\\{[^}]*\\b${label}="`, 'm'));
        grouped++;
      }
    }
    expect(grouped).toBeGreaterThan(12);
  });
});

/** What a healthy gruard without Kafka has none of. */
const NONE = /gruard_source_lag_messages|_dead_letters_dropped_total|gruard_follower_poison_records_total|gruard_source_connected == 0|gruard_refused_total/;

describe.skipIf(findInfluxd() === undefined || prometheusPath === undefined)(`the queries of the dashboards, on a real Prometheus${prometheusPath === undefined ? ' (missing: prometheus)' : ''}`, () => {
  let run: FleetRun;
  let server: Prometheus;

  beforeAll(async () => {
    run = await runFleet();
    server = await startPrometheus(`global: { scrape_interval: 1s }\nscrape_configs: [{ job_name: gruard, static_configs: [{ targets: ['${new URL(run.gruard.addresses.page).host}'] }] }]\n`);
    await until(async () => ((await server.instant('min(count_over_time(up{job="gruard"}[1m]))'))[0]?.value ?? 0) >= 3, 'Prometheus has read the measures three times', 30_000);
  }, 150_000);
  afterAll(async () => {
    await server.remove();
    await run.close();
  });

  it.each(prometheus)('$name: series', async ({ name, query }) => {
    const expression = query.replaceAll('$__rate_interval', '10s');
    const found = await server.range(expression, 30);
    if (!NONE.test(query)) expect(found.length, `${name}: ${expression}`).toBeGreaterThan(0);
  });

  it.each(WATCHES.filter(({ query }) => 'prometheus' in query))('$title: quiet while all is well, and with a value that it can judge', async (watch) => {
    const values = await server.instant((watch.query as { prometheus: string }).prometheus);
    expect(values.length).toBeGreaterThan(0);
    for (const { value } of values) expect(watch.below ? value >= watch.limit : value <= watch.limit, `${watch.title}: ${value}`).toBe(true);
  });
});

/** What a person reads, on the faults of the run; scores are not of interest here. */
const RECORDED: Record<string, RegExp> = {
  'gruard-critical-event': /^Critical anomaly on press-2\n(temperature|pressure|\*) of press-2 is far from what is usual for it: the score reached \d+\.\d, where 1 is the threshold\. Why, and since when, is on the gruard page\.$/m,
  'gruard-silent-device': /^pump-3 is silent\npump-3 has not sent for longer than it ever pauses\. Its process is not watched meanwhile\.$/m,
  'gruard-follower-lag': /^influxdb is 12345 s behind\nWhat is new has not reached influxdb for that long\. .* Is influxdb up, and fast enough\?$/m,
  'gruard-ingestion-lag': /^12345 messages wait at http\nMore comes in over http than gruard takes in, so that events are found late\./m,
  'gruard-source-disconnected': /^gruard is not connected to broker\nNothing comes in over broker;/m,
  'gruard-journal-fails': /^gruard cannot write its journal\nThe disk of data_dir is full or fails\./,
  'gruard-unreachable': /^gruard does not answer\nPrometheus cannot read the measures of gruard:/,
};

/** The part of Grafana's templates that the rules use. */
function render(text: string, labels: Record<string, string>, value: number): string {
  return text
    .replace(/\{\{ \$labels\.(\w+) \}\}/g, (whole, name: string) => labels[name] ?? whole)
    .replace(/\{\{ printf "%\.(\d)f" \$values\.B\.Value \}\}/g, (_, digits: string) => value.toFixed(Number(digits)));
}

function targetsOf(dashboard: Dashboard): { name: string; target: InfluxQuery | { expr: string } }[] {
  return panelsOf(dashboard).flatMap(({ title, targets = [] }) => targets.map((target) => ({ name: `${dashboard.uid!} ${title!} ${(target as InfluxQuery).refId}`, target: target as InfluxQuery })));
}

function panelCases(dashboard: Dashboard): Case[] {
  return targetsOf(dashboard).flatMap(({ name, target }) => ('query' in target ? [{ name, query: target.query }] : []));
}

function variableCases(dashboard: Dashboard): Case[] {
  return dashboard.templating.list!.flatMap(({ type, name, query }) => (type === VariableType.Query ? [{ name: `${dashboard.uid!} variable ${name}`, query: query as string }] : []));
}

function annotationCases(dashboard: Dashboard): Case[] {
  return (dashboard.annotations?.list ?? []).map(({ name, target }) => ({ name: `${dashboard.uid!} marks ${name}`, query: (target as unknown as InfluxQuery).query }));
}
