import { signal } from '@preact/signals';
import { authorization, refusal, tokenNeeded } from './client.js';

export type Connection = 'connecting' | 'live' | 'offline' | 'paused';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
/** The server sends an overview a second; a stream that is silent for this long is dead. */
const SILENCE_MS = 10_000;

/**
 * Server-sent events by `fetch`, since EventSource can send no token. Reconnects with growing waits and resumes after the last id;
 * rests while the tab is hidden, so that many open tabs do not use up the browser's connections.
 */
export class LiveStream {
  readonly connection = signal<Connection>('connecting');
  /** How often it was connected: readings that came between two connections are in the store only. */
  readonly connections = signal(0);
  #abort: AbortController | null = null;
  #lastId = '';
  #waitMs = FIRST_WAIT_MS;
  #timer = 0;
  #closed = false;
  readonly #onVisibility = (): void => (document.hidden ? this.#pause() : this.#connect());
  readonly #unwatch: () => void;

  constructor(private readonly path: string, private readonly onMessage: (type: string, data: unknown) => void) {
    document.addEventListener('visibilitychange', this.#onVisibility);
    // A token was given: try again at once.
    let wanted = tokenNeeded.value !== null;
    this.#unwatch = tokenNeeded.subscribe((needed) => {
      if (wanted && needed === null) this.#connect();
      wanted = needed !== null;
    });
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    this.#unwatch();
    document.removeEventListener('visibilitychange', this.#onVisibility);
    this.#pause();
  }

  #pause(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
    this.connection.value = 'paused';
  }

  #connect(): void {
    if (this.#closed || document.hidden) return;
    clearTimeout(this.#timer);
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    if (this.connection.value !== 'live') this.connection.value = 'connecting';
    this.#read(abort).catch(() => {}).finally(() => {
      if (this.#abort !== abort) return;
      this.connection.value = 'offline';
      if (tokenNeeded.value) return;
      this.#timer = window.setTimeout(() => this.#connect(), this.#waitMs);
      this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
    });
  }

  async #read(abort: AbortController): Promise<void> {
    const headers = { ...authorization(), accept: 'text/event-stream', ...(this.#lastId ? { 'last-event-id': this.#lastId } : {}) };
    const response = await fetch(new URL(this.path, document.baseURI), { headers, signal: abort.signal, cache: 'no-store' });
    if (!response.ok || !response.body) throw await refusal(response);
    this.connection.value = 'live';
    this.connections.value++;
    this.#waitMs = FIRST_WAIT_MS;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const watchdog = window.setTimeout(() => abort.abort(), SILENCE_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(watchdog));
      if (done) return;
      const frames = (text + value).split('\n\n');
      text = frames.pop()!;
      for (const frame of frames) this.#take(frame);
    }
  }

  #take(frame: string): void {
    let type = '';
    let data = '';
    for (const line of frame.split('\n')) {
      if (line.startsWith('event: ')) type = line.slice(7);
      else if (line.startsWith('data: ')) data += line.slice(6);
      else if (line.startsWith('id: ')) this.#lastId = line.slice(4);
    }
    if (type !== '') this.onMessage(type, JSON.parse(data));
  }
}
