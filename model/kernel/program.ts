import { CELL_KINDS } from '../cells/cell.js';
import { layerShapes, type LayerShape, type Network } from '../network.js';

/**
 * Lays a network out as kernel.c reads it. Units are padded to whole panels of eight columns, and the padding's weights
 * and biases are zero: then a padded unit of every cell stays at zero for ever.
 */
export interface Program {
  /** Bytes at `base`: the Program struct, then the panels. Its length is a multiple of 16. */
  bytes: Uint8Array;
  /** Floats of a slot's state in the kernel's arena. */
  stride: number;
  /** Floats of a page of the arena, which holds PAGE_SLOTS slots: their normalisers, where `states` > 0, and then their states. */
  page: number;
  /** Floats from a page's beginning to its first state. */
  states: number;
  /** For each number of a slot's state as callers see it, its place in the padded slot. */
  places: Uint32Array;
}

/** As in kernel.c. */
export const PAGE_SLOTS = 1024;

const PANEL = 8;
const LAYER_WORDS = 6;
const HEADER_WORDS = 9;

const padded = (units: number): number => Math.ceil(units / PANEL) * PANEL;

/** A tensor's entry; entries outside it are zero. */
type Entry = (row: number, column: number) => number;

/** base: the address at which `bytes` will lie; seriesBytes: what is kept before the states for each slot, a multiple of 8. */
export function buildProgram(network: Network, base: number, seriesBytes: number): Program {
  const { config } = network;
  const layers = layerShapes(config);
  const words = HEADER_WORDS + LAYER_WORDS * layers.length;
  const program = new Int32Array(Math.ceil(words / 4) * 4);
  const panels: Float32Array[] = [];
  let address = base + program.byteLength;
  const place = (data: Float32Array): number => {
    panels.push(data);
    address += data.byteLength;
    return address - data.byteLength;
  };

  const places: number[] = [];
  let stride = 0;
  layers.forEach((layer, l) => {
    const [first, second] = layerPanels(network, layer, l);
    program.set([CELL_KINDS.indexOf(layer.cell), layer.inputs, padded(layer.units), stride, place(first), second ? place(second) : 0],
      HEADER_WORDS + l * LAYER_WORDS);
    for (let part = 0; part < layer.stateSize / layer.units; part++) {
      for (let j = 0; j < layer.units; j++) places.push(stride + j);
      stride += padded(layer.units);
    }
  });

  const { outputSize } = layers[layers.length - 1];
  const { outputs, skip } = config.head;
  const skipped = skip ? config.inputs : 0;
  const kernel = entries(network, 'head.kernel');
  const bias = entries(network, 'head.bias');
  // The file has the features below the state; the kernel reads them first, where they already lie.
  const head = pack(skipped + outputSize, outputs, (k, j) => (k < skipped ? kernel(outputSize + k, j) : kernel(k - skipped, j)),
    (j) => bias(j, 0));
  const states = PAGE_SLOTS * seriesBytes / 4;
  const page = states + PAGE_SLOTS * stride;
  program.set([config.inputs, outputs, stride, page, states, skip ? 1 : 0, outputSize, place(head), layers.length]);

  const bytes = new Uint8Array(address - base);
  bytes.set(new Uint8Array(program.buffer));
  let at = program.byteLength;
  for (const panel of panels) {
    bytes.set(new Uint8Array(panel.buffer), at);
    at += panel.byteLength;
  }
  return { bytes, stride, page, states, places: Uint32Array.from(places) };
}

/** The one or two products of a layer, as kernel.c names their columns. */
function layerPanels(network: Network, layer: LayerShape, l: number): [Float32Array, Float32Array?] {
  const tensor = (name: string): Entry => entries(network, `layers.${l}.${name}`);
  const { inputs, units } = layer;
  const P = padded(units);
  const w = tensor('kernel');
  const u = tensor('recurrent_kernel');
  const b = tensor('bias');
  /** Gates g of a kernel whose columns are gates of `units`: panel rows are [x, h], panel columns gates of P. */
  const gates = (first: number, count: number): Float32Array => {
    const column = (j: number): number | undefined => (j % P < units ? (first + Math.floor(j / P)) * units + (j % P) : undefined);
    return pack(inputs + P, count * P, (k, j) => {
      const c = column(j);
      if (c === undefined) return 0;
      return k < inputs ? w(k, c) : k - inputs < units ? u(k - inputs, c) : 0;
    }, (j) => {
      const c = column(j);
      return c === undefined ? 0 : b(c, 0);
    });
  };
  switch (layer.cell) {
    case 'elman':
    case 'recurrent':
      return [gates(0, 1)];
    case 'jordan': {
      const v = tensor('output_kernel');
      const d = tensor('output_bias');
      return [gates(0, 1), pack(P, P, (k, j) => (k < units && j < units ? v(k, j) : 0), (j) => (j < units ? d(j, 0) : 0))];
    }
    case 'lstm':
      return [gates(0, 4)];
    case 'gru':
      return [gates(0, 2), gates(2, 1)];
  }
}

/** Panels of eight columns, each [1 + rows][8] with the bias first. */
function pack(rows: number, columns: number, weight: Entry, bias: (column: number) => number): Float32Array {
  const count = padded(columns) / PANEL;
  const data = new Float32Array(count * (rows + 1) * PANEL);
  let at = 0;
  for (let p = 0; p < count; p++) {
    for (let k = -1; k < rows; k++) {
      for (let j = p * PANEL; j < (p + 1) * PANEL; j++) {
        data[at++] = j >= columns ? 0 : k < 0 ? bias(j) : weight(k, j);
      }
    }
  }
  return data;
}

function entries(network: Network, name: string): Entry {
  const tensor = network.tensors.get(name);
  if (tensor === undefined) throw new RangeError(`no tensor ${name}`);
  const columns = tensor.shape.length === 2 ? tensor.shape[1] : 1;
  return (row, column) => tensor.data[row * columns + column];
}
