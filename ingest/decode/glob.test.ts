import fc from 'fast-check';
import { expect, it } from 'vitest';
import { globMatches } from './glob.js';

it.each<[string, string, boolean]>([
  ['*', '', true], ['*', 'anything', true], ['', '', true], ['', 'a', false], ['a*', 'abc', true], ['*c', 'abc', true], ['a*c', 'abbbc', true], ['a*c', 'abcd', false],
  ['*_raw', 'x_raw_raw', true], ['a**b', 'ab', true], ['a.b', 'axb', false], ['[a]', 'a', false], ['*a*b*', 'xxaxxbxx', true], ['*a*b*', 'xxbxxaxx', false],
])('%j on %j: %s', (pattern, text, expected) => {
  expect(globMatches(pattern, text)).toBe(expected);
});

it('is what a regular expression of the same meaning says', () => {
  const alphabet = fc.constantFrom('a', 'b', '.');
  fc.assert(fc.property(fc.array(fc.oneof(alphabet, fc.constant('*')), { maxLength: 8 }), fc.array(alphabet, { maxLength: 12 }), (pattern, text) => {
    const expression = new RegExp(`^${pattern.map((c) => (c === '*' ? '.*' : c === '.' ? '\\.' : c)).join('')}$`);
    expect(globMatches(pattern.join(''), text.join(''))).toBe(expression.test(text.join('')));
  }), { numRuns: 500 });
});

it('does not take for ever over a pattern that was made for that', () => {
  expect(globMatches(`${'a*'.repeat(200)}b`, 'a'.repeat(5000))).toBe(false);
});
