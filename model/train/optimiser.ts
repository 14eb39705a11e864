import type { Parameters } from './gradient.js';

const BETA1 = 0.9;
const BETA2 = 0.99;
const EPSILON = 1e-8;

/** AdamW (Loshchilov & Hutter 2019) under a clip of the gradient's global norm. In plain arrays: the network has a few thousand weights. */
export class AdamW {
  private step = 0;
  private readonly first: Parameters = new Map();
  private readonly second: Parameters = new Map();

  constructor(private readonly settings: { weightDecay: number; clipNorm: number }) {}

  /** Updates the parameters in place. Returns the gradient's norm before the clip. Biases are not decayed. */
  update(parameters: Parameters, gradients: Parameters, rate: number): number {
    this.step++;
    let square = 0;
    for (const gradient of gradients.values()) for (const g of gradient) square += g * g;
    const norm = Math.sqrt(square);
    const factor = norm > this.settings.clipNorm ? this.settings.clipNorm / norm : 1;
    const unbias1 = 1 - BETA1 ** this.step;
    const unbias2 = 1 - BETA2 ** this.step;
    for (const [name, gradient] of gradients) {
      const weights = parameters.get(name);
      if (weights === undefined) throw new RangeError(`no tensor ${name}`);
      const m = moment(this.first, name, gradient.length);
      const v = moment(this.second, name, gradient.length);
      const decay = name.endsWith('bias') ? 0 : rate * this.settings.weightDecay;
      for (let i = 0; i < gradient.length; i++) {
        const g = gradient[i] * factor;
        m[i] += (1 - BETA1) * (g - m[i]);
        v[i] += (1 - BETA2) * (g * g - v[i]);
        weights[i] -= (rate * (m[i] / unbias1)) / (Math.sqrt(v[i] / unbias2) + EPSILON) + decay * weights[i];
      }
    }
    return norm;
  }

  /** For a checkpoint. */
  save(): { step: number; first: Parameters; second: Parameters } {
    return structuredClone({ step: this.step, first: this.first, second: this.second });
  }

  restore(saved: { step: number; first: Parameters; second: Parameters }): void {
    this.step = saved.step;
    for (const [name, data] of saved.first) this.first.set(name, data.slice());
    for (const [name, data] of saved.second) this.second.set(name, data.slice());
  }
}

function moment(moments: Parameters, name: string, size: number): Float32Array {
  let data = moments.get(name);
  if (data === undefined) moments.set(name, (data = new Float32Array(size)));
  return data;
}

/** Linear warm-up over 2 % of the steps, then a half cosine down to 1 % of the peak. */
export function learningRate(step: number, steps: number, peak: number): number {
  const warm = Math.max(1, Math.round(0.02 * steps));
  if (step < warm) return (peak * (step + 1)) / warm;
  const progress = Math.min(1, (step - warm) / Math.max(1, steps - warm));
  return peak * (0.01 + 0.99 * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
