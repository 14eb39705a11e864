import type { TSchema } from 'typebox';

/** What the schema of one setting says, as far as walking it needs. */
export interface SettingSchema {
  type?: string;
  default?: unknown;
  description?: string;
  enum?: unknown[];
  anyOf?: { const?: unknown }[];
  minimum?: number;
  maximum?: number;
  secret?: boolean;
  /** An address, which may hold a user and a password. */
  address?: boolean;
  /** Of the items of a list that has no schema of its own: the fields that may be printed. */
  printedFields?: readonly string[];
  properties?: Record<string, SettingSchema>;
}

export interface Setting {
  /** e.g. ['api', 'port'] */
  path: string[];
  schema: SettingSchema;
}

/** Every setting (sections are walked into, arrays and records are settings), in the order of the schema. */
export function settingsOf(schema: TSchema, path: string[] = []): Setting[] {
  const s = schema as SettingSchema;
  if (!s.properties) return [{ path, schema: s }];
  return Object.entries(s.properties).flatMap(([key, child]) => settingsOf(child as TSchema, [...path, key]));
}

/** `api.port` is GRUARD_API_PORT. */
export function environmentName(path: string[]): string {
  return `GRUARD_${path.join('_').toUpperCase()}`;
}

/** "integer 0..65535", "one of auto, on, off": what a message or the example file says is expected. */
export function expectation(schema: SettingSchema): string {
  if (schema.enum) return `one of ${schema.enum.join(', ')}`;
  if (schema.anyOf) return `one of ${schema.anyOf.map((option) => String(option.const)).join(', ')}`;
  if ((schema.type === 'integer' || schema.type === 'number') && schema.minimum !== undefined && schema.maximum !== undefined) {
    return `${schema.type} ${schema.minimum}..${schema.maximum}`;
  }
  return schema.type ?? 'value';
}

export function lookUp(tree: Record<string, unknown>, path: string[]): unknown {
  return path.reduce<unknown>((node, key) => (node as Record<string, unknown> | undefined)?.[key], tree);
}

export function assign(tree: Record<string, unknown>, path: string[], value: unknown): void {
  let node = tree;
  for (const key of path.slice(0, -1)) {
    // A section that the file sets to null ("api:" with nothing below) counts as left out.
    if (typeof node[key] !== 'object' || node[key] === null) node[key] = {};
    node = node[key] as Record<string, unknown>;
  }
  node[path[path.length - 1]] = value;
}
