import { describe, expect, test } from 'vitest';
import type { ScoredFile } from './scorer.js';
import { PROFILES, Scoring, probationRows, scaledSigmoid } from './scorer.js';

const [standard, lowFp, lowFn] = PROFILES;

/** 100 rows a second apart (15 of probation), a window from row 40 to row 49, detections at the given rows. */
function file(detections: number[], windows: [number, number][] = [[40, 49]]): ScoredFile {
  return {
    timestampMs: Array.from({ length: 100 }, (_, row) => row * 1000),
    scores: Array.from({ length: 100 }, (_, row) => (detections.includes(row) ? 1 : 0)),
    windows: windows.map(([first, last]) => [first * 1000, last * 1000]),
  };
}

function score(files: ScoredFile[], profile = standard): number {
  const scoring = new Scoring(files);
  return scoring.normalised(scoring.tallyAt(1), profile);
}

describe('the scaled sigmoid', () => {
  test('is 2/(1+e^(5y))-1 up to three windows to the right, then -1', () => {
    expect(scaledSigmoid(-1)).toBeCloseTo(0.986614, 6);
    expect(scaledSigmoid(-0.5)).toBeCloseTo(0.848284, 6);
    expect(scaledSigmoid(0)).toBe(0);
    expect(scaledSigmoid(1)).toBeCloseTo(-0.986614, 6);
    expect(scaledSigmoid(3.01)).toBe(-1);
  });
});

describe('the probation', () => {
  test('is 15 % of the rows, at most 750', () => {
    expect(probationRows(100)).toBe(15);
    expect(probationRows(4032)).toBe(604);
    expect(probationRows(5000)).toBe(750);
    expect(probationRows(22_695)).toBe(750);
  });

  test('hides what is detected in it', () => {
    expect(score([file([3, 14])])).toBe(0);
  });

  test('a window that lies within it cannot be missed, but a perfect detector would have earned it', () => {
    const scoring = new Scoring([file([40], [[5, 10], [40, 49]])]);
    const tally = scoring.tallyAt(1);
    expect(tally.windowsMissed).toBe(0);
    // (1 - (-1)) / (2 - (-1))
    expect(scoring.normalised(tally, standard)).toBeCloseTo(200 / 3, 9);
  });
});

describe('a window', () => {
  test('caught at its first row earns all', () => {
    expect(score([file([40])])).toBeCloseTo(100, 9);
  });

  test('missed: nothing', () => {
    for (const profile of PROFILES) expect(score([file([])], profile)).toBe(0);
  });

  test('counts its earliest detection only', () => {
    expect(score([file([40, 41, 45, 49])])).toBeCloseTo(100, 9);
  });

  test('caught at its middle: the row 45 of 40..49 stands at -(49-45+1)/10', () => {
    const earned = scaledSigmoid(-0.5) / scaledSigmoid(-1);
    expect(score([file([45])])).toBeCloseTo((100 * (earned + 1)) / 2, 9);
    expect(score([file([45])], lowFn)).toBeCloseTo((100 * (earned + 2)) / 3, 9);
  });

  test('caught at its last row still earns more than missing it', () => {
    const earned = scaledSigmoid(-0.1) / scaledSigmoid(-1);
    expect(score([file([49])])).toBeCloseTo((100 * (earned + 1)) / 2, 9);
  });
});

describe('a false detection', () => {
  test('before any window costs the full weight of the profile', () => {
    expect(score([file([20, 40])])).toBeCloseTo((100 * (1 - 0.11 + 1)) / 2, 9);
    expect(score([file([20, 40])], lowFp)).toBeCloseTo((100 * (1 - 0.22 + 1)) / 2, 9);
  });

  test('just behind a window costs less: row 52 is (52-49)/(10-1) of a window behind', () => {
    const cost = 0.11 * scaledSigmoid(3 / 9);
    expect(score([file([40, 52])])).toBeCloseTo((100 * (1 + cost + 1)) / 2, 9);
  });

  test('more than three windows behind costs the full weight', () => {
    expect(score([file([40, 77])])).toBeCloseTo((100 * (1 - 0.11 + 1)) / 2, 9);
  });

  test('is held against the nearest window before it', () => {
    const two: [number, number][] = [[30, 39], [60, 69]];
    const cost = 0.11 * scaledSigmoid(1 / 9);
    expect(score([file([30, 60, 70], two)])).toBeCloseTo((100 * (2 + cost + 2)) / 4, 9);
  });
});

describe('several files', () => {
  test('are summed before they are normalised; one without windows can only lose', () => {
    expect(score([file([40]), file([], [[50, 59]])])).toBeCloseTo(50, 9);
    expect(score([file([40]), file([50], [])])).toBeCloseTo((100 * (1 - 0.11 + 1)) / 2, 9);
  });

  test('share the optimised threshold', () => {
    const first = file([40]);
    const second = file([]);
    const scored = [
      { ...first, scores: Array.from(first.scores, (s, row) => (row === 40 ? 0.9 : row === 20 ? 0.5 : s * 0)) },
      { ...second, scores: Array.from(second.scores, (s, row) => (row === 40 ? 0.5 : row === 25 ? 0.2 : s)) },
    ];
    const scoring = new Scoring(scored);
    const best = scoring.best(standard);
    // At .5 the second window is caught too, for one false detection in the first file; at .2 only a false detection is added.
    expect(best.threshold).toBe(0.5);
    expect(best).toMatchObject({ windowsCaught: 2, windowsMissed: 0, falseDetections: 1 });
    expect(scoring.normalised(best, standard)).toBeCloseTo((100 * (2 - 0.11 + 2)) / 4, 9);
  });

  test('every threshold of the sweep tallies as it does by itself', () => {
    const scored = [file([]), file([], [[20, 24], [70, 90]])].map((one, f) => (
      { ...one, scores: Array.from({ length: 100 }, (_, row) => ((row * 37 + f * 11) % 23) / 10) }
    ));
    const scoring = new Scoring(scored);
    const sweep = scoring.sweep();
    expect(sweep).toHaveLength(24);
    for (const tally of sweep) {
      const alone = scoring.tallyAt(tally.threshold);
      expect(tally.earned).toBeCloseTo(alone.earned, 9);
      expect(tally.falsePositive).toBeCloseTo(alone.falsePositive, 9);
      expect([tally.windowsCaught, tally.windowsMissed, tally.falseDetections])
        .toEqual([alone.windowsCaught, alone.windowsMissed, alone.falseDetections]);
    }
  });
});

test('a repeated timestamp at the end of a window belongs to it once, as NAB counts it', () => {
  const one = file([40]);
  const times = Array.from(one.timestampMs);
  times[50] = times[49];
  const scores = Array.from(one.scores, (s, row) => (row === 50 ? 1 : s));
  const tally = new Scoring([{ ...one, timestampMs: times, scores }]).tallyAt(1);
  expect(tally.falseDetections).toBe(1);
});
