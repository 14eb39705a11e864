import fc from 'fast-check';
import { expect, it } from 'vitest';
import { metricProblem, nameProblem, printable } from './names.js';

it.each(['', ' ', '   ', '\u00a0', 'a\n', 'a\0b', '\u007f', '\u0085', '\u2028', '\ud800', 'a\udc00', '\ud800\ud800', '\ufeffa'])('refuses %j', (name) => {
  expect(nameProblem(name, 256)).toBe('name_invalid');
});

it.each(['oven3', 'Ofen №3', '温度', '🔥', 'a b', '__proto__', '"; DROP TABLE', '../../etc', 'a.b/c#+', '*'])('takes %j', (name) => {
  expect(nameProblem(name, 256)).toBeUndefined();
});

it('keeps * for the device as a whole', () => {
  expect(metricProblem('*', 256)).toBe('name_invalid');
  expect(metricProblem('**', 256)).toBeUndefined();
});

it('measures length in UTF-8', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 60 }), (name, maxBytes) => {
    const problem = nameProblem(name, maxBytes);
    if (problem !== 'name_invalid') expect(problem === 'name_too_long').toBe(new TextEncoder().encode(name).length > maxBytes);
  }));
});

it('writes any name so that it stays on one line', () => {
  fc.assert(fc.property(fc.array(fc.nat(0xffff), { maxLength: 100 }).map((codes) => String.fromCharCode(...codes)), (name) => {
    // eslint-disable-next-line no-control-regex
    expect(printable(name)).not.toMatch(/[\0-\x1f]/);
    expect(printable(name).length).toBeLessThan(400);
  }));
});
