import { GruardError, messageOf } from '../../core/errors.js';

export type DuckDB = typeof import('@duckdb/node-api');

/**
 * DuckDB, loaded where a store is opened and not before: its native part is an optional dependency that npm may have left out, and whoever keeps results elsewhere does not need it.
 *
 * @throws GruardError STORE_BINDING_MISSING
 */
export async function loadDuckDB(): Promise<DuckDB> {
  try {
    return await import('@duckdb/node-api');
  } catch (cause) {
    throw new GruardError('STORE_BINDING_MISSING', `DuckDB's native part for ${process.platform}-${process.arch} cannot be loaded: ${messageOf(cause).split('\n', 1)[0]}`, { cause });
  }
}
