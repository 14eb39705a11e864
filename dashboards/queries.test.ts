import { VariableType, type Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOSTILE, runFleet, type FleetRun } from '../test/flow/fleet-run.js';
import { findInfluxd } from '../test/servers/influxd.js';
import { WATCHES } from './alerts.js';
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
    for (const [word, label] of [['gruard_http_request_duration_seconds_bucket', 'route'], ['gruard_follower_lag_seconds', 'follower'], ['gruard_source_waiting', 'source']]) expect(text).toMatch(new RegExp(`^${word}\\{[^}]*${label}="`, 'm'));
  });
});

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
