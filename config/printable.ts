import { configSchema, type Config } from './schema.js';
import { assign, lookUp, settingsOf } from './walk.js';

const SETTINGS = settingsOf(configSchema);
const MASK = '********';

/** The configuration with secrets masked: what may be printed. */
export function printable(config: Config): unknown {
  const copy = structuredClone(config) as Record<string, unknown>;
  for (const { path, schema } of SETTINGS) {
    const value = lookUp(copy, path);
    if (schema.secret && value !== '') assign(copy, path, MASK);
    else if (schema.address) assign(copy, path, withoutLogin(value as string));
    else if (schema.printedFields) assign(copy, path, (value as Record<string, unknown>[]).map((item) => printableItem(item, schema.printedFields!)));
  }
  return copy;
}

/** Masks every field that is not known to be harmless, so that one that comes later, or is misspelt, is no leak. */
function printableItem(item: Record<string, unknown>, printed: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(item).map(([key, value]) => {
    if (key === 'url') return [key, typeof value === 'string' ? hostOf(value) : MASK];
    return [key, printed.includes(key) ? value : MASK];
  }));
}

function withoutLogin(address: string): string {
  if (!URL.canParse(address)) return address.includes('@') ? MASK : address;
  const url = new URL(address);
  if (url.username === '' && url.password === '' && url.search === '') return address;
  return `${url.protocol}//${url.username === '' && url.password === '' ? '' : `${MASK}@`}${url.host}${url.pathname}${url.search === '' ? '' : `?${MASK}`}`;
}

/** Of the address of a sink: the path and query of a webhook are its secret. */
function hostOf(address: string): string {
  if (!URL.canParse(address)) return MASK;
  const { protocol, username, password, host, pathname, search } = new URL(address);
  return `${protocol}//${username === '' && password === '' ? '' : `${MASK}@`}${host}${search === '' && (pathname === '' || pathname === '/') ? '' : `/${MASK}`}`;
}
