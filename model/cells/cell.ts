/**
 * What a recurrent cell is. A layer of `units` units reads x and its own previous state, and makes its next state; the
 * layer's output y is the first `outputSize(units)` numbers of that next state, for every cell. The steps here are the
 * float64 reference: written to be read, and the oracle that every backend is held to.
 */
export const CELL_KINDS = ['elman', 'jordan', 'recurrent', 'lstm', 'gru'] as const;

export type CellKind = (typeof CELL_KINDS)[number];

/** A tensor of a layer, row-major. `initial` is how an untrained one is filled. */
export interface TensorSpec {
  /** The name within its layer, e.g. `kernel`; in a file it is `layers.0.kernel`. */
  name: string;
  shape: number[];
  initial: 'glorot' | 'orthogonal' | 'zeros' | 'forget-ones';
}

/** A layer's tensors by their name within the layer, in float64. */
export type LayerParameters = ReadonlyMap<string, Float64Array>;

export interface Cell {
  readonly kind: CellKind;
  tensors(inputs: number, units: number): TensorSpec[];
  /** Numbers of state a series keeps for this layer. */
  stateSize(units: number): number;
  /** Numbers that the next layer (or the head) reads. */
  outputSize(units: number): number;
  /** Numbers that `step` needs as working space. */
  scratchSize(units: number): number;
  /**
   * One step of one series. x: [inputs]; state, next: [stateSize]; scratch: [scratchSize]. Pure but for `next` and
   * `scratch`, which must not overlap the others.
   */
  step(parameters: LayerParameters, x: Float64Array, state: Float64Array, next: Float64Array, scratch: Float64Array): void;
}

/** The tensor of that name; absent is a programming error, since a network is validated when it is read. */
export function parameter(parameters: LayerParameters, name: string): Float64Array {
  const data = parameters.get(name);
  if (data === undefined) throw new RangeError(`no tensor ${name}`);
  return data;
}

/** out[j] = bias[first + j], j < n. */
export function setBias(out: Float64Array, bias: Float64Array, first: number, n: number): void {
  for (let j = 0; j < n; j++) out[j] = bias[first + j];
}

/** out[j] += sum over k of x[k] matrix[k, first + j], j < n. x: [rows]; matrix: [rows, columns]. */
export function addProduct(
  out: Float64Array, x: Float64Array, rows: number, matrix: Float64Array, columns: number, first: number, n: number,
): void {
  for (let k = 0; k < rows; k++) {
    const xk = x[k];
    const row = k * columns + first;
    for (let j = 0; j < n; j++) out[j] += xk * matrix[row + j];
  }
}

export function sigmoid(a: number): number {
  return 1 / (1 + Math.exp(-a));
}
