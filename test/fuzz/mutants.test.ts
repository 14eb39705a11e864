import { describe, expect, it } from 'vitest';
import { decodeWeights } from '../../model/weights.js';
import { parseTokens, type TokenRecord } from '../../store/tokens.js';
import { fuzz, TARGETS } from './fuzz.js';
import type { FuzzTarget } from './target.js';
import { decodeTarget } from './targets/decode.js';
import { accessTarget, configTarget, weightsTarget } from './targets/files.js';
import { httpTarget } from './targets/network.js';
import { storedTarget } from './targets/stored.js';

/** Promises that are broken on purpose: the fuzzer has to find each, or it finds nothing. */
const MUTANTS: [broken: string, target: FuzzTarget, runs: number, found: RegExp][] = [
  ['names longer than the limit are stored', decodeTarget({ limits: { nameBytes: 100_000 } }), 3000, /device "|metric "|tag "/],
  ['more devices than the limit', decodeTarget({ limits: { devices: 1_000_000 } }), 3000, /over the limit of devices/],
  ['more series than the limit', decodeTarget({ limits: { series: 10_000_000, metricsPerDevice: 4000 } }), 3000, /over the limit of series/],
  ['more tags than the limit', decodeTarget({ limits: { tags: 1000 } }), 12_000, /too many tags/],
  ['times far ahead of now', decodeTarget({ limits: { clockSkewMs: 1e15 } }), 3000, /time \d/],
  ['work that the length of a payload does not bound', decodeTarget({ times: 100 }), 3000, /calls for/],
  ['an API that asks for no token', httpTarget({ tokens: [] }), 600, /a change without a token/],
  ['bodies larger than the limit', httpTarget({ payloadBytes: 200_000 }), 600, /bytes reached the decoder/],
  ['secrets that are printed', configTarget({ printable: (config) => config }), 200, /a secret is printed/],
  ['an error without a code', weightsTarget({ decode: (bytes) => { JSON.parse(Buffer.from(bytes).toString()); return decodeWeights(bytes); } }), 200, /JSON/],
  ['a token file that is taken as it is', accessTarget({ parseTokens: ((bytes: Uint8Array) => (parseTokens(bytes, 'x'), (JSON.parse(Buffer.from(bytes).toString()) as { tokens: TokenRecord[] }).tokens.map((token) => ({ ...token, scopes: [...token.scopes, 'root'] })))) as unknown as typeof parseTokens }), 400, /false|falsy/],
  ['topics of the broker that users may write', accessTarget({ admits: () => true }), 400, /false|falsy/],
  ['a journal that is silent about what it misses', storedTarget({ unreported: true }), 200, /missing and not reported/],
  ['a prototype that is changed', { name: 'x', share: 1, open: () => ({ run: () => { Object.defineProperty(Object.prototype, 'polluted', { value: 1, configurable: true }); }, close: async () => { Reflect.deleteProperty(Object.prototype, 'polluted'); } }) }, 1, /a built-in prototype was changed/],
];

describe('the fuzzer reports', () => {
  it.each(MUTANTS)('%s', async (_broken, target, runs, found) => {
    const { failures } = await fuzz(target, { runs, seed: 1, mostFailures: 1 });
    expect(failures.map(({ error }) => error).join('\n')).toMatch(found);
  }, 30_000);

  it('a failing run again by its number', async () => {
    const broken = (): FuzzTarget => weightsTarget({ decode: () => { throw new TypeError('broken'); } });
    const [{ run }] = (await fuzz(broken(), { runs: 50, seed: 7 })).failures;
    expect((await fuzz(broken(), { runs: 1, seed: 7, first: run })).failures.map((failure) => failure.run)).toEqual([run]);
  });

  it('nothing where nothing is broken, and every target has a share', () => {
    expect(TARGETS.reduce((sum, { share }) => sum + share, 0)).toBe(100);
    for (const { share } of TARGETS) expect(share).toBeGreaterThan(0);
  });
});
