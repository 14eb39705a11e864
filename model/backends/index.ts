import type { Network } from '../network.js';
import type { Backend, BackendName } from './backend.js';
import { JsBackend } from './js.js';
import { TensorFlowBackend } from './tensorflow.js';
import { WasmBackend } from './wasm.js';

export { BACKEND_NAMES, type Backend, type BackendName } from './backend.js';

/**
 * A backend with no slots yet.
 * @throws GruardError BACKEND_UNAVAILABLE when this installation cannot run it; the detail says why.
 */
export async function openBackend(name: BackendName, network: Network): Promise<Backend> {
  switch (name) {
    case 'tensorflow':
      return TensorFlowBackend.open(network);
    case 'wasm':
      return new WasmBackend(network);
    case 'js':
      return new JsBackend(network);
  }
}
