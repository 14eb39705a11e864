import type { Batch } from '../core/batch.js';
import type { StatePart } from '../core/state.js';
import { WideArena } from './arena.js';
import type { Backend, Fused } from './backends/backend.js';
import { ForecastDecoder, Forecasts, HORIZONS, OUTPUTS } from './forecast.js';
import { FEATURES, Normaliser } from './normaliser.js';

const H = HORIZONS.length;
// What is kept of a series' latest forecast, in float64 words.
const YHAT = 0;
const LOWER = 1;
const UPPER = 2;
const LOCATION = 3; // [3]
const SPREAD = LOCATION + H; // [3]
const MADE = SPREAD + H; // 1 once there is a forecast
const WORDS = MADE + 1;
/** Numbers of a forecast as `Fused.advance` gives them: those kept, in their order. */
const FORECAST = MADE;

/**
 * Normaliser, network and decoder as one: takes the readings of distinct series and keeps for each the forecast of its
 * next ones. Without a backend the forecast is the last value (the ablation that shows what the network is worth).
 */
export class Predictor {
  readonly normaliser: Normaliser;
  /** [rows, 7] of the latest `observe`. */
  features = new Float32Array(0);
  readonly parts: readonly StatePart[];
  readonly #kept = new WideArena('forecast', 1, 'series', WORDS);
  readonly #decoder: ForecastDecoder;
  #outputs = new Float32Array(0);
  #made = new Forecasts(0);
  /** Other networks for some devices; the rows of a round that are theirs are stepped and decoded apart. */
  readonly #others: { backend: Backend; decoder: ForecastDecoder; share: Share }[];
  readonly #own = new Share();
  /** The backend's own normalising and decoding, where one network serves all series. */
  readonly #fused: Fused | undefined;
  /** [rows, 9] what `observe` forecast; kept by `advance`, because the readings are judged first. */
  #fresh = new Float64Array(0);
  /** A row whose network begins anew. */
  readonly #one = new Share();
  readonly #oneOutput = new Float32Array(OUTPUTS);
  readonly #oneMade = new Forecasts(1);

  constructor(readonly backend: Backend | null, others: readonly Backend[] = []) {
    // A series' normaliser is one, whichever network it has: with several it is the first backend's, and stepped apart from them.
    this.normaliser = backend?.fused?.normaliser ?? new Normaliser();
    this.#fused = others.length === 0 ? backend?.fused : undefined;
    this.#decoder = new ForecastDecoder(backend?.network.metadata ?? {});
    this.#others = others.map((other) => ({ backend: other, decoder: new ForecastDecoder(other.network.metadata), share: new Share() }));
    this.#one.reserveRows(1);
    this.parts = [this.normaliser, this.#kept, ...(backend ? [networkPart(backend)] : []), ...others.map(networkPart)];
  }

  reserve(capacity: number): void {
    this.normaliser.reserve(capacity);
    this.#kept.reserve(capacity);
    for (const backend of [this.backend, ...this.#others.map((other) => other.backend)]) {
      if (backend && backend.capacity < capacity) backend.reserve(Math.max(capacity, 1024));
    }
  }

  /** Room for rounds of so many rows. */
  reserveRows(rows: number): void {
    if (this.#made.capacity >= rows) return;
    this.features = new Float32Array(rows * FEATURES);
    this.#outputs = new Float32Array(rows * OUTPUTS);
    this.#made = new Forecasts(rows);
    if (this.#fused) this.#fresh = new Float64Array(rows * FORECAST);
    if (this.#others.length > 0) for (const share of [this.#own, ...this.#others.map((other) => other.share)]) share.reserveRows(rows);
  }

  clear(slot: number): void {
    for (const part of this.parts) part.clear(slot);
  }

  /**
   * Takes n distinct series' readings and writes their features; the forecasts kept are still those made before them. Where the backend does all
   * in one call it has stepped the network too.
   */
  observe(slots: Uint32Array, n: number, timestampMs: Float64Array, value: Float64Array, learning: Float32Array): void {
    if (this.#fused) this.#fused.advance(slots, n, timestampMs, value, learning, this.features, this.#fresh);
    else this.normaliser.step(slots, n, timestampMs, value, this.features, learning);
  }

  /** Keeps the new forecasts, for which it steps the network, where `observe` has not, with the features that `observe` wrote. `modelOf` says which of the other networks a series has, -1 for none; needed where there are any. */
  advance(slots: Uint32Array, n: number, modelOf?: (slot: number) => number): void {
    if (this.#fused) {
      this.#keepFresh(slots, n);
      return;
    }
    if (this.#others.length === 0 || modelOf === undefined) {
      this.#stepAll(this.backend, this.#decoder, slots, n, this.features, this.#outputs, this.#made);
      return;
    }
    const shares = [this.#own, ...this.#others.map((other) => other.share)];
    for (const share of shares) share.n = 0;
    for (let row = 0; row < n; row++) shares[modelOf(slots[row]) + 1].take(slots[row], this.features, row);
    this.#stepShare(this.backend, this.#decoder, this.#own);
    for (const { backend, decoder, share } of this.#others) this.#stepShare(backend, decoder, share);
  }

  #keepFresh(slots: Uint32Array, n: number): void {
    const fresh = this.#fresh;
    for (let row = 0; row < n; row++) {
      const slot = slots[row];
      if (Number.isNaN(fresh[row * FORECAST + YHAT])) {
        this.#beginAnew(this.backend, this.#decoder, slot, this.features, row);
        continue;
      }
      const s = this.#kept.floats[this.#kept.page(slot)];
      const at = this.#kept.at(slot);
      for (let i = 0; i < FORECAST; i++) s[at + i] = fresh[row * FORECAST + i];
      s[at + MADE] = 1;
    }
  }

  /** The network of a series has lost itself (forecast.ts): it forgets all but the latest reading, which is the forecast where that does not help either. */
  #beginAnew(backend: Backend | null, decoder: ForecastDecoder, slot: number, features: Float32Array, row: number): void {
    const one = this.#one;
    one.n = 0;
    one.take(slot, features, row);
    this.#oneOutput.fill(0);
    if (backend) {
      backend.clear(slot);
      backend.step(one.slots, 1, one.features, this.#oneOutput);
    }
    decoder.decode(this.normaliser, one.slots, 1, this.#oneOutput, this.#oneMade);
    if (Number.isNaN(this.#oneMade.yhat[0])) decoder.decode(this.normaliser, one.slots, 1, this.#oneOutput.fill(0), this.#oneMade);
    this.#keep(slot, this.#oneMade, 0);
  }

  #stepShare(backend: Backend | null, decoder: ForecastDecoder, { slots, n, features }: Share): void {
    this.#stepAll(backend, decoder, slots, n, features, this.#outputs, this.#made);
  }

  #stepAll(backend: Backend | null, decoder: ForecastDecoder, slots: Uint32Array, n: number, features: Float32Array, outputs: Float32Array, made: Forecasts): void {
    if (n === 0) return;
    if (backend) backend.step(slots, n, features, outputs);
    decoder.decode(this.normaliser, slots, n, outputs, made);
    for (let row = 0; row < n; row++) {
      if (Number.isNaN(made.yhat[row])) this.#beginAnew(backend, decoder, slots[row], features, row);
      else this.#keep(slots[row], made, row);
    }
  }

  #keep(slot: number, made: Forecasts, row: number): void {
    const s = this.#kept.floats[this.#kept.page(slot)];
    const at = this.#kept.at(slot);
    s[at + YHAT] = made.yhat[row];
    s[at + LOWER] = made.yhatLower[row];
    s[at + UPPER] = made.yhatUpper[row];
    for (let i = 0; i < H; i++) {
      s[at + LOCATION + i] = made.location[row * H + i];
      s[at + SPREAD + i] = made.spread[row * H + i];
    }
    s[at + MADE] = 1;
  }

  /** Writes the forecast of a series' next reading, where there is one, to a row. */
  forecast(slot: number, row: number, into: Pick<Batch, 'yhat' | 'yhatLower' | 'yhatUpper'>): void {
    const s = this.#kept.floats[this.#kept.page(slot)];
    const at = this.#kept.at(slot);
    if (s[at + MADE] !== 1) return;
    into.yhat[row] = s[at + YHAT];
    into.yhatLower[row] = s[at + LOWER];
    into.yhatUpper[row] = s[at + UPPER];
  }

  /** Of the mean of the next 1, 8, 32 working values (horizon index 0, 1, 2). */
  location(slot: number, horizon: number): number {
    return this.#kept.floats[this.#kept.page(slot)][this.#kept.at(slot) + LOCATION + horizon];
  }

  /** What a reading is judged by, in one go. out[at ..]: [4] location and spread of horizon 0, and of horizon 2. */
  describe(slot: number, out: Float64Array, at: number): void {
    const s = this.#kept.floats[this.#kept.page(slot)];
    const from = this.#kept.at(slot);
    out[at] = s[from + LOCATION];
    out[at + 1] = s[from + SPREAD];
    out[at + 2] = s[from + LOCATION + 2];
    out[at + 3] = s[from + SPREAD + 2];
  }
}

/** The rows of a round that one of several networks steps. */
class Share {
  slots = new Uint32Array(0);
  /** [rows, 7] */
  features = new Float32Array(0);
  n = 0;

  reserveRows(rows: number): void {
    this.slots = new Uint32Array(rows);
    this.features = new Float32Array(rows * FEATURES);
  }

  take(slot: number, features: Float32Array, row: number): void {
    this.features.set(features.subarray(row * FEATURES, (row + 1) * FEATURES), this.n * FEATURES);
    this.slots[this.n++] = slot;
  }
}

function networkPart(backend: Backend): StatePart {
  const row = new Float32Array(backend.stateSize);
  const bytes = new Uint8Array(row.buffer);
  return {
    name: `network-${backend.network.metadata.sha256?.slice(0, 16) ?? 'unnamed'}`, version: 1, per: 'series', bytesPerSlot: bytes.length,
    reserve(capacity) {
      if (backend.capacity < capacity) backend.reserve(capacity);
    },
    clear: (slot) => backend.clear(slot),
    write(slot, out, at) {
      backend.getState(slot, row);
      out.set(bytes, at);
    },
    read(slot, from, at) {
      bytes.set(from.subarray(at, at + bytes.length));
      backend.setState(slot, row);
    },
  };
}
