import { createHash } from 'node:crypto';
import { seededRandom } from '../../core/random.js';
import { HORIZONS } from '../forecast.js';
import { FEATURES } from '../normaliser.js';
import { encodeSeries, type Example, type TrainingSeries } from './examples.js';
import { FAMILIES, generateSeries, type FamilyName } from './generator/index.js';
import type { Chunk } from './gradient.js';

/** An endless, repeatable supply of examples: the same index gives the same example. */
export type ExampleSource = (index: number) => Example;

/** A seed for item `index` of a stream: distinct streams do not meet in practice. */
function mixed(seed: number, index: number): number {
  return (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(index + 1, 0xc2b2ae35)) >>> 0;
}

/** Generated series, family after family. */
export function generatedSource(seed: number, families: readonly FamilyName[] = FAMILIES, length?: number): ExampleSource {
  return (index) => encodeSeries(generatedSeries(seed, families, index, length));
}

/** Number `index` of that supply, as it comes. */
export function generatedSeries(seed: number, families: readonly FamilyName[], index: number, length?: number): TrainingSeries {
  const series = generateSeries(families[index % families.length], seededRandom(mixed(seed, index)), { length });
  return { ...series, name: series.family };
}

/** A user's series over and over, each fourth example a generated one, so that fine-tuning does not forget the rest of the world. */
export function historySource(history: readonly Example[], generated: ExampleSource): ExampleSource {
  return (index) => (index % 4 === 3 ? generated(index) : history[(index - Math.floor(index / 4)) % history.length]);
}

/** Where the lanes stand: with the source it says exactly which chunk comes next. */
export interface LanesPosition {
  /** Index of the next example to be drawn. */
  drawn: number;
  /** [rows] the example each lane is in. */
  example: number[];
  /** [rows] its next reading there. */
  at: number[];
  /** Chained SHA-256 over the examples drawn so far. */
  hash: string;
}

/** B lanes side by side, each going through one series after another, a chunk of T steps at a time. */
export class Lanes {
  private readonly examples: Example[];
  private position: LanesPosition;

  constructor(private readonly source: ExampleSource, private readonly rows: number, private readonly steps: number, from?: LanesPosition) {
    this.position = from === undefined ? { drawn: 0, example: [], at: [], hash: '' } : structuredClone(from);
    if (from === undefined) {
      this.examples = [];
      for (let row = 0; row < rows; row++) this.draw(row);
    } else {
      this.examples = this.position.example.map((index) => source(index));
    }
  }

  /** A copy, to be kept in a checkpoint. */
  where(): LanesPosition {
    return structuredClone(this.position);
  }

  /** The next chunk; restarted: the rows in which a new series begins, whose state must be zero. */
  next(): { chunk: Chunk; restarted: number[] } {
    const { rows, steps } = this;
    const horizons = HORIZONS.length;
    const chunk: Chunk = {
      steps, rows,
      features: new Float32Array(steps * rows * FEATURES),
      targets: new Float32Array(steps * rows * horizons),
      present: new Float32Array(steps * rows * horizons),
    };
    const restarted: number[] = [];
    for (let row = 0; row < rows; row++) {
      if (this.position.at[row] >= this.examples[row].n) this.draw(row);
      const at = this.position.at[row];
      if (at === 0) restarted.push(row);
      fillRow(chunk, row, this.examples[row], at);
      this.position.at[row] = at + steps;
    }
    return { chunk, restarted };
  }

  private draw(row: number): void {
    const index = this.position.drawn++;
    const example = this.source(index);
    this.examples[row] = example;
    this.position.example[row] = index;
    this.position.at[row] = 0;
    this.position.hash = createHash('sha256').update(this.position.hash).update(example.features).update(example.targets).digest('hex');
  }
}

/** Copies readings at.. of an example into a row of a chunk; the rest of the row stays 0 and without targets. */
export function fillRow(chunk: Chunk, row: number, example: Example, at: number): void {
  const horizons = HORIZONS.length;
  const last = Math.min(chunk.steps, example.n - at);
  for (let t = 0; t < last; t++) {
    const to = t * chunk.rows + row;
    const from = at + t;
    for (let i = 0; i < FEATURES; i++) chunk.features[to * FEATURES + i] = example.features[from * FEATURES + i];
    for (let i = 0; i < horizons; i++) {
      chunk.targets[to * horizons + i] = example.targets[from * horizons + i];
      chunk.present[to * horizons + i] = example.present[from * horizons + i];
    }
  }
}
