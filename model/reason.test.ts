import { describe, expect, it } from 'vitest';
import { duration, plain, reasonText, type Evidence } from './reason.js';

const EVIDENCE: Evidence = {
  channel: 'e1', actual: 27.9, yhat: 20.7, yhatLower: 20.1, yhatUpper: 21.3, unseenMs: 9 * 86_400_000, above: true, extreme: false, run: 0,
};

describe('reasonText', () => {
  it('says what was expected, what came, and why that matters', () => {
    expect(reasonText(EVIDENCE)).toBe('expected 20.1-21.3, got 27.9; the largest rise against the forecast in 9 days');
    expect(reasonText({ ...EVIDENCE, channel: 'x', extreme: true })).toBe('expected 20.1-21.3, got 27.9; the highest value in 9 days');
    expect(reasonText({ ...EVIDENCE, yhatLower: -3, yhatUpper: 2, channel: 'limit' })).toBe('expected -3.0 to 2.0, got 27.9; beyond the limit that is set for it');
  });

  it('names no time where the event itself has shown the like', () => {
    const again = { ...EVIDENCE, unseenMs: 0 };
    expect(reasonText({ ...again, channel: 'season' })).toBe('expected 20.1-21.3, got 27.9; unlike this phase of the cycles before');
    expect(reasonText({ ...again, channel: 'e32' })).toBe('expected 20.1-21.3, got 27.9; the last 32 readings ran above the forecast');
    expect(reasonText({ ...EVIDENCE, channel: 'season' })).toContain('cycles before, as never in 9 days');
  });

  it('names the metrics where there is no value', () => {
    const parts = [{ metric: 'outlet', off: -2.14 }, { metric: 'flow', off: 0.031 }];
    const device = { ...EVIDENCE, actual: NaN, yhatLower: null, yhatUpper: null, parts };
    expect(reasonText({ ...device, channel: 'joint' })).toBe('outlet 2.1 below and flow 0.031 above what the other metrics say of it; they do not go together as before');
    expect(reasonText({ ...device, channel: 'state', parts: parts.slice(0, 1) })).toBe('the device has left its normal state: outlet 2.1 below the usual');
  });
});

it.each([[500, 'a moment'], [1500, '1 second'], [65_000, '65 seconds'], [3_700_000, '61 minutes'], [90_000_000, '25 hours'], [9 * 86_400_000, '9 days']])('%d ms is %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});

it.each([[0.000123456, 0.0001, '0.00012'], [1e20, 1, '1.00000e+20'], [5, 0, '5.000'], [1234.5678, 100, '1235']])('%d at spread %d is %s', (x, spread, text) => {
  expect(plain(x, spread)).toBe(text);
});
