import type { Cell, CellKind } from './cell.js';
import { elman } from './elman.js';
import { gru } from './gru.js';
import { jordan } from './jordan.js';
import { lstm } from './lstm.js';
import { recurrent } from './recurrent.js';

/** Every cell: add a file beside these, its line here, and its case in the kernel and in the TensorFlow graph. */
export const CELLS: Readonly<Record<CellKind, Cell>> = { elman, jordan, recurrent, lstm, gru };
