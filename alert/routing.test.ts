import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { matchesGlob, matchesRoute } from './routing.js';

const about = { device: 'plant/oven3', metric: 'temperature', kind: 'spike', severity: 'warning' } as const;

describe('patterns', () => {
  test('agree with the regular expression that says the same', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '?', '.'), maxLength: 10 });
    fc.assert(fc.property(letters, letters, (pattern, text) => {
      const expression = pattern.replace(/[.*?/]/g, (character) => ({ '*': '[^]*', '?': '[^]' })[character] ?? `\\${character}`);
      expect(matchesGlob(pattern, text)).toBe(new RegExp(`^${expression}$`).test(text));
    }), { numRuns: 2000 });
  });

  test('a hostile pattern ends', () => {
    expect(matchesGlob(`${'*a'.repeat(200)}b`, 'a'.repeat(5000))).toBe(false);
  });
});

describe('routes', () => {
  test('every condition that is there must hold', () => {
    expect(matchesRoute({}, about)).toBe(true);
    expect(matchesRoute({ minSeverity: 'info' }, about)).toBe(true);
    expect(matchesRoute({ minSeverity: 'warning' }, about)).toBe(true);
    expect(matchesRoute({ minSeverity: 'critical' }, about)).toBe(false);
    expect(matchesRoute({ devices: ['pump*', 'plant/*'] }, about)).toBe(true);
    expect(matchesRoute({ devices: ['oven3'] }, about)).toBe(false);
    expect(matchesRoute({ devices: [] }, about)).toBe(false);
    expect(matchesRoute({ excludeDevices: ['*3'] }, about)).toBe(false);
    expect(matchesRoute({ metrics: ['temp*'] }, about)).toBe(true);
    expect(matchesRoute({ metrics: ['pressure'] }, about)).toBe(false);
    expect(matchesRoute({ kinds: ['drift', 'spike'] }, about)).toBe(true);
    expect(matchesRoute({ kinds: ['silent'] }, about)).toBe(false);
    expect(matchesRoute({ metrics: ['*'] }, { ...about, metric: null })).toBe(true);
  });
});
