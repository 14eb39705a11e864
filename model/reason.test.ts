import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { duration, plain, reasonText, type Evidence } from './reason.js';

const EVIDENCE: Evidence = {
  channel: 'e1', actual: 27.9, yhat: 20.7, yhatLower: 20.1, yhatUpper: 21.3, unseenMs: 9 * 86_400_000, above: true, extreme: false, run: 0,
};

describe('reasonText', () => {
  it('says what was expected, what came, and why that matters', () => {
    expect(reasonText(EVIDENCE)).toBe('expected 20.1-21.3, got 27.9; unusually far above the forecast, as never in 9 days');
    expect(reasonText({ ...EVIDENCE, channel: 'x', extreme: true })).toBe('expected 20.1-21.3, got 27.9; the highest value in 9 days');
    expect(reasonText({ ...EVIDENCE, channel: 'tod' })).toBe('expected 20.1-21.3, got 27.9; too high for this hour of the day, as never in 9 days');
    expect(reasonText({ ...EVIDENCE, yhatLower: -3, yhatUpper: 2, channel: 'limit' })).toBe('expected -3.0 to 2.0, got 27.9; beyond the limit that is set for it');
  });

  it('does not hold the band of one reading against a reading within it', () => {
    const within = { ...EVIDENCE, actual: 21.04 };
    expect(reasonText(within)).toBe('got 21.04 where 20.70 was forecast; unusually far above the forecast, as never in 9 days');
    expect(reasonText({ ...within, channel: 'x' })).toBe('got 21.04 where 20.70 was forecast; a value like none in 9 days');
    expect(reasonText({ ...within, channel: 'tod' })).toBe('got 21.04 where 20.70 was forecast; too high for this hour of the day, as never in 9 days');
    expect(reasonText({ ...within, channel: 'limit' })).toBe('got 21.0; beyond the limit that is set for it');
  });

  it('shows no reading where many are what is off', () => {
    expect(reasonText({ ...EVIDENCE, channel: 'e32' })).toBe('the last 32 readings ran above the forecast, as never in 9 days');
    expect(reasonText({ ...EVIDENCE, channel: 'season' })).toBe('the latest readings are unlike this phase of the cycles before, as never in 9 days');
    expect(reasonText({ ...EVIDENCE, channel: 'span' })).toBe('a cycle did not come, as never in 9 days');
    expect(reasonText({ ...EVIDENCE, channel: 'stuck', run: 29 })).toBe('got 27.9; the same value 30 times in a row, the longest standstill in 9 days');
  });

  it('says what is unusual of a level, a roughness, a rhythm and the rise of a counter', () => {
    expect(reasonText({ ...EVIDENCE, channel: 'level' })).toBe('the level of the last 32 readings is unusually high, as never in 9 days');
    expect(reasonText({ ...EVIDENCE, channel: 'rough', above: false })).toBe('the readings jump unusually little from one to the next, as never in 9 days');
    expect(reasonText({ ...EVIDENCE, channel: 'pace' })).toBe('a pulse or a pause of unusual length, as never in 9 days');
    expect(reasonText({ ...EVIDENCE, channel: 'x', extreme: true, counter: true })).toBe('expected 20.1-21.3, got 27.9; the fastest rise in 9 days');
    expect(reasonText({ ...EVIDENCE, channel: 'x', counter: true })).toBe('expected 20.1-21.3, got 27.9; a rise like none in 9 days');
  });

  it('names no time where the event itself has shown the like', () => {
    const again = { ...EVIDENCE, unseenMs: 0 };
    expect(reasonText(again)).toBe('expected 20.1-21.3, got 27.9; again unusually far above the forecast');
    expect(reasonText({ ...again, channel: 'season' })).toBe('the latest readings are unlike this phase of the cycles before');
    expect(reasonText({ ...again, channel: 'e32' })).toBe('the last 32 readings ran above the forecast');
  });

  it('names the metrics where there is no value', () => {
    const parts = [{ metric: 'outlet', off: -2.14 }, { metric: 'flow', off: 0.031 }];
    const device = { ...EVIDENCE, actual: NaN, yhatLower: null, yhatUpper: null, parts };
    expect(reasonText({ ...device, channel: 'joint' })).toBe('outlet 2.1 below and flow 0.031 above what the other metrics say of it; they do not go together as before');
    expect(reasonText({ ...device, channel: 'state' })).toBe('the device has left its normal state: outlet 2.1 below and flow 0.031 above their usual levels');
    expect(reasonText({ ...device, channel: 'state', parts: parts.slice(0, 1) })).toBe('the device has left its normal state: outlet 2.1 below its usual level');
  });

  it('never says that a reading was expected to be where it is, whatever the size and the closeness of the numbers', () => {
    const channel = fc.constantFrom<Evidence['channel']>('x', 'e1', 'e32', 'tod', 'stuck', 'season', 'span', 'limit');
    const number = fc.double({ noNaN: true, min: -1e18, max: 1e18 });
    const near = fc.oneof(number, fc.double({ noNaN: true, min: -1e-9, max: 1e-9 }));
    fc.assert(fc.property(channel, number, near, near, (name, yhatLower, width, beyond) => {
      const yhatUpper = yhatLower + Math.abs(width);
      const reason = reasonText({ ...EVIDENCE, channel: name, yhat: yhatLower, yhatLower, yhatUpper, actual: yhatUpper + beyond });
      const said = /^expected (\S+?)(?: to |(?<=\d)-)(\S+), got (\S+);/.exec(reason);
      expect(said === null).toBe(!reason.startsWith('expected'));
      if (said) expect(Number(said[3]) >= Number(said[1]) && Number(said[3]) <= Number(said[2])).toBe(false);
    }));
  });
});

it.each([[500, 'a moment'], [1500, '1 second'], [65_000, '65 seconds'], [3_700_000, '61 minutes'], [90_000_000, '25 hours'], [9 * 86_400_000, '9 days']])('%d ms is %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});

it.each([[0.000123456, 0.0001, '0.00012'], [1e20, 1, '1.00000e+20'], [5, 0, '5.000'], [1234.5678, 100, '1235']])('%d at spread %d is %s', (x, spread, text) => {
  expect(plain(x, spread)).toBe(text);
});
