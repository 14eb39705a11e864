import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { packageRoot } from '../core/paths.js';
import { WATCHES } from './alerts.js';
import { dashboards, generated, panelsOf } from './generate.js';
import { UID } from './links.js';

describe('the generated files', () => {
  it.each([...generated()])('%s is what the code makes (npm run build:dashboards)', (path, text) => {
    expect(readFileSync(join(packageRoot, path), 'utf8')).toBe(text);
  });

  it('take the address of the page', () => {
    expect(generated('https://gruard.example').get('dashboards/gruard-fleet.json')).toContain('"query": "https://gruard.example"');
  });
});

describe.each(dashboards().map((one) => [one.uid!, one] as const))('%s', (_uid, dashboard) => {
  const panels = panelsOf(dashboard);

  it('has panels with ids of their own, that lie on the grid and not on each other', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { title, gridPos } of panels) {
      const { x, y, w, h } = gridPos!;
      expect(x + w, title).toBeLessThanOrEqual(24);
      for (let column = x; column < x + w; column++) {
        for (let line = y; line < y + h; line++) {
          expect(taken.has(`${column} ${line}`), `${title} lies on another panel`).toBe(false);
          taken.add(`${column} ${line}`);
        }
      }
    }
  });

  it('says of each panel what it shows, and what is so when it shows nothing; each query has an id', () => {
    for (const { title, description, fieldConfig, targets } of panels) {
      expect(description, title).toBeTruthy();
      expect(fieldConfig?.defaults.noValue, title).toBeTruthy();
      const ids = targets!.map((target) => (target as unknown as { refId: string }).refId);
      expect(new Set(ids).size, title).toBe(ids.length);
      expect(ids.length, title).toBeGreaterThan(0);
    }
  });

  it('uses only the data sources that are provisioned', () => {
    const provisioned = readFileSync(join(packageRoot, 'config/compose/grafana/provisioning/datasources/gruard.yaml'), 'utf8');
    for (const [, uid] of JSON.stringify(dashboard).matchAll(/"datasource":\{[^}]*"uid":"([^"]*)"/g)) expect(provisioned).toContain(`uid: ${uid}\n`);
  });

  it('links to the other dashboards and to the page, and only to dashboards that there are', () => {
    const text = JSON.stringify(dashboard);
    const linked = new Set([...text.matchAll(/\/d\/([\w-]+)/g)].map(([, uid]) => uid));
    expect([...linked, dashboard.uid!].sort()).toEqual(expect.arrayContaining(Object.values(UID).sort()));
    for (const uid of linked) expect(Object.values(UID)).toContain(uid);
    expect(dashboard.links!.some(({ url }) => url!.startsWith('${gruard}/#/'))).toBe(true);
  });

  it('puts no variable into a query but as an escaped value', () => {
    const known = new Set(['gruard', ...dashboard.templating.list!.map(({ name }) => name)]);
    for (const query of queriesIn(dashboard)) {
      for (const [whole, name, format] of query.matchAll(/\$\{?(\w+)(?::(\w+))?\}?/g)) {
        if (['timeFilter', '__interval', '__interval_ms', '__range_s', '__rate_interval'].includes(name) || whole === '$/') continue;
        expect(known, query).toContain(name);
        expect(format, query).toBe('regex');
      }
    }
  });
});

interface ProvisionedRule {
  uid: string;
  title: string;
  condition: string;
  for: string;
  dashboardUid: string;
  panelId: number;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  data: { refId: string; datasourceUid: string; model: { refId: string; expression?: string } }[];
}

describe('the alert rules', () => {
  const { groups } = parse(generated().get('config/compose/grafana/provisioning/alerting/gruard.yaml')!) as { groups: { interval: string; rules: ProvisionedRule[] }[] };
  const rules = groups.flatMap((group) => group.rules);

  it('have what Grafana asks of a provisioned rule: each expression reads a query that there is, and the panel of the link exists', () => {
    expect(new Set(rules.map(({ uid }) => uid)).size).toBe(WATCHES.length);
    for (const { uid, condition, data, dashboardUid, panelId, ...rule } of rules) {
      expect(uid).toMatch(/^[\w-]{1,40}$/);
      expect(rule.for).toMatch(/^\d+[sm]$/);
      const ids = data.map(({ refId }) => refId);
      expect(ids, uid).toContain(condition);
      for (const { refId, model, datasourceUid } of data) {
        expect(model.refId, uid).toBe(refId);
        expect(['gruard-influxdb', 'gruard-prometheus', '__expr__']).toContain(datasourceUid);
        if (datasourceUid === '__expr__') expect(ids.slice(0, ids.indexOf(refId)), uid).toContain(model.expression);
      }
      expect(panelsOf(dashboards().find((one) => one.uid === dashboardUid)!).map(({ id }) => id), uid).toContain(panelId);
      expect(rule.labels.severity, uid).toMatch(/^(critical|warning)$/);
      // Grafana expands ${NAME} in these files, and leaves {{ $labels.name }} as it is.
      for (const text of Object.values(rule.annotations)) expect(text, uid).not.toContain('${');
    }
  });

  it('are all told of in the documentation, with what they say', () => {
    const page = readFileSync(join(packageRoot, 'docs', 'dashboards.md'), 'utf8');
    for (const { title, summary, description } of WATCHES) for (const text of [title, summary, description]) expect(page).toContain(text);
  });
});

/** Every InfluxQL and PromQL text: of panels, variables and annotations. */
function queriesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => ((key === 'query' || key === 'expr') && typeof inner === 'string' ? [inner] : queriesIn(inner)));
}
