import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_SETTINGS, matches, Policies, readSettings } from './settings.js';

describe('matches', () => {
  it.each([
    ['*', 'anything', true], [undefined, 'anything', true], ['pump', 'pump', true], ['pump', 'pump2', false], ['pump*', 'pump2', true],
    ['*-temp', 'a-temp', true], ['a*b*c', 'a1b2c', true], ['a*b*c', 'a1c2b', false], ['ab*ba', 'aba', false], ['.*', 'x', false],
  ])('%s on %s', (pattern, name, expected) => {
    expect(matches(pattern, name)).toBe(expected);
  });

  it('agrees with a regular expression of the same meaning', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.'), maxLength: 6 });
    fc.assert(fc.property(text, text.map((s) => s.replaceAll('*', 'a')), (pattern, name) => {
      const escaped = pattern.replace(/[.]/g, '\\.').replace(/\*+/g, '.*');
      expect(matches(pattern, name)).toBe(new RegExp(`^${escaped}$`).test(name));
    }));
  });
});

describe('Policies', () => {
  const settings = {
    ...DEFAULT_SETTINGS,
    rules: [{ device: 'boiler*', max: 90 }, { metric: 'temp', direction: 'up' as const, falseAlarmsPerDay: 1 }, { device: 'boiler-7', max: 80, ignore: true }],
  };

  it('lets the first rule that names a field decide it', () => {
    const policies = new Policies(settings);
    expect(policies.of('boiler-7', 'temp')).toEqual({ ignore: true, direction: 'up', minDeviation: 0, min: -Infinity, max: 90, falseAlarmsPerDay: 1 });
    expect(policies.of('pump', 'flow')).toEqual({ ignore: false, direction: 'both', minDeviation: 0, min: -Infinity, max: Infinity, falseAlarmsPerDay: 0.07 });
  });

  it('knows a maintenance window that comes back', () => {
    const policies = new Policies({ ...DEFAULT_SETTINGS, maintenance: [{ device: 'a', startMs: 1000, endMs: 1500, everyMs: 2000 }] });
    expect([999, 1000, 1499, 1500, 3200, 3600].map((ms) => policies.inMaintenance('a', ms))).toEqual([false, true, true, false, true, false]);
    expect(policies.inMaintenance('b', 1200)).toBe(false);
  });
});

it('reads settings that came through JSON, and nothing else', () => {
  expect(readSettings({ falseAlarmsPerDay: 0.5, acceptAfterMs: null, cooldownMs: -1, other: 3, rules: [{ metric: 'x' }] }))
    .toEqual({ falseAlarmsPerDay: 0.5, acceptAfterMs: Infinity, rules: [{ metric: 'x' }] });
  expect(readSettings('nonsense')).toEqual({});
});
