import { GruardError, messageOf } from '../../core/errors.js';

/**
 * The part of the WebAssembly JavaScript API that gruard uses: TypeScript declares it with the DOM only.
 * https://webassembly.github.io/spec/js-api/
 */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  /** Adds pages of 64 KiB; every view of the old buffer is detached. @throws RangeError when there is no room. */
  grow(pages: number): number;
}

interface WasmApi {
  Memory: new (limits: { initial: number; maximum: number }) => WasmMemory;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: Record<string, Record<string, unknown>>) => { exports: Record<string, unknown> };
}

export const wasmApi = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;

export const PAGE_BYTES = 65536;
/** The most that a memory can have. */
export const MOST_PAGES = 65536;

/** By their source: a kernel is compiled once a process. */
const compiled = new Map<string, object>();

/** A kernel over a memory of its own of so many pages; what it does not use itself begins at `heapBase`. @throws GruardError BACKEND_UNAVAILABLE. */
export function openKernel<Exports>(base64: string, pages: number): { memory: WasmMemory; kernel: Exports; heapBase: number } {
  try {
    const memory = new wasmApi.Memory({ initial: pages, maximum: MOST_PAGES });
    let module = compiled.get(base64);
    if (!module) compiled.set(base64, module = new wasmApi.Module(Buffer.from(base64, 'base64')));
    const { exports } = new wasmApi.Instance(module, { env: { memory } });
    return { memory, kernel: exports as Exports, heapBase: (exports.__heap_base as { value: number }).value };
  } catch (error) {
    throw new GruardError('BACKEND_UNAVAILABLE', `wasm: ${messageOf(error)}`, { cause: error });
  }
}
