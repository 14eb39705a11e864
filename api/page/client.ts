import { signal } from '@preact/signals';
import type { Problem } from './types.js';

/** The API of the server that served this page; a token, where one is needed, stays in this tab. */

const KEY = 'gruard.token';

/** Set when a call was refused for want of a token: the page then asks for one. */
export const tokenNeeded = signal<{ detail: string } | null>(null);

export function setToken(token: string): void {
  sessionStorage.setItem(KEY, token);
  tokenNeeded.value = null;
}

export function hasToken(): boolean {
  return sessionStorage.getItem(KEY) !== null;
}

export function authorization(): Record<string, string> {
  const token = sessionStorage.getItem(KEY);
  return token === null ? {} : { authorization: `Bearer ${token}` };
}

/** What the server said is wrong, in its words. */
export class ApiError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

export async function refusal(response: Response): Promise<ApiError> {
  const problem = await response.json().catch(() => null) as Problem | null;
  if (response.status === 401) tokenNeeded.value = { detail: hasToken() ? 'The token was not accepted.' : '' };
  return new ApiError(problem ?? { type: '', title: response.statusText, status: response.status, detail: `The server answered ${response.status}.`, code: '', next: '' });
}

export async function call<T>(path: string, options: { method?: string; body?: unknown; signal?: AbortSignal } = {}): Promise<T> {
  const { method = 'GET', body, signal: abort } = options;
  const response = await fetch(new URL(path, document.baseURI), {
    method, signal: abort, cache: 'no-store',
    headers: { ...authorization(), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!response.ok) throw await refusal(response);
  return response.status === 204 ? undefined as T : await response.json() as T;
}

/** A URL cannot carry the names `.` and `..` in its path, so they go into the query. */
const inPath = (name: string): string => (name === '.' || name === '..' ? '_' : encodeURIComponent(name));

export function devicePath(device: string): string {
  return `v1/devices/${inPath(device)}?name=${encodeURIComponent(device)}`;
}

export function seriesPath(device: string, metric: string, query: Record<string, string>): string {
  const search = new URLSearchParams({ name: device, metric, ...query });
  return `v1/devices/${inPath(device)}/series/${inPath(metric)}?${search.toString()}`;
}
