import type { Detector } from '../core/detector.js';
import type { DetectorOptions } from '../model/detector.js';
import { openDetector } from '../model/detector.js';
import { CHANNELS } from '../model/tuning.js';
import { baselineDetector } from './baselines/baseline.js';
import { randomCutForest } from './baselines/forest.js';
import { ewZscore } from './baselines/zscore.js';
import type { MakeDetector } from './harness.js';

/** What takes a part of the detector away, by the name that `--detector` takes. */
export const ABLATIONS: Record<string, DetectorOptions> = {
  without_gru: { forecaster: 'last_value' },
  compact: { profile: 'compact' },
  ...Object.fromEntries(CHANNELS.map((channel) => [`without_${channel}`, { channels: CHANNELS.filter((other) => other !== channel) }])),
};

export const BASELINES: Record<string, () => Detector> = {
  ew_zscore: () => baselineDetector(ewZscore),
  random_cut_forest: () => baselineDetector(randomCutForest),
};

/** The default sensitivity, 0.07 false alarms a series and day, is this at a reading every ten minutes. */
const READINGS_PER_FALSE_ALARM = 2057;
const DAY_MS = 86_400_000;

/** A detector that allows one false alarm in 2,057 readings at any sampling rate, as recalls are compared; the product's setting is a rate a day. */
export function perReading(options: DetectorOptions = {}): MakeDetector {
  return (fleet, periodMs) => openDetector(fleet, {
    ...options, settings: { ...options.settings, falseAlarmsPerDay: DAY_MS / Math.max(1, periodMs) / READINGS_PER_FALSE_ALARM },
  });
}

/** As it ships. */
export const SHIPPED: MakeDetector = (fleet) => openDetector(fleet);

/** `gruard` and its ablations at one false alarm in 2,057 readings, `shipped` (0.07 a day), or a baseline. */
export function detectorNamed(name: string): MakeDetector {
  if (name === 'shipped') return SHIPPED;
  if (name === 'gruard') return perReading();
  if (name in ABLATIONS) return perReading(ABLATIONS[name]);
  if (name in BASELINES) return BASELINES[name];
  throw new Error(`no detector ${name}: one of gruard, shipped, ${[...Object.keys(ABLATIONS), ...Object.keys(BASELINES)].join(', ')}`);
}
