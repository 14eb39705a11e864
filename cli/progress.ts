import { performance } from 'node:perf_hooks';

const BAR_CHARS = 30;
const REDRAW_MS = 100;
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_LINE = '\r\u001b[2K';

/** A progress bar on stderr, where that is a terminal; nothing elsewhere. */
export class Progress {
  readonly #out: NodeJS.WriteStream | undefined;
  readonly #beganMs = performance.now();
  #from: number | undefined;
  #drawnMs = -Infinity;

  constructor(private readonly what: string, out: NodeJS.WriteStream = process.stderr) {
    if (out.isTTY) this.#out = out;
    this.#out?.write(HIDE_CURSOR);
  }

  /** `fraction` of the work is done. */
  update(fraction: number, detail: string): void {
    const nowMs = performance.now();
    // What was done before this process (training that is resumed) says nothing about the pace.
    this.#from ??= fraction;
    if (!this.#out || (nowMs - this.#drawnMs < REDRAW_MS && fraction < 1)) return;
    this.#drawnMs = nowMs;
    const done = Math.min(1, Math.max(0, fraction));
    const full = Math.round(done * BAR_CHARS);
    const left = done > this.#from ? duration((nowMs - this.#beganMs) * (1 - done) / (done - this.#from)) : '-';
    const line = `${this.what} [${'#'.repeat(full)}${'-'.repeat(BAR_CHARS - full)}] ${Math.floor(done * 100)} %  ${detail}  ETA ${left}`;
    this.#out.write(`${CLEAR_LINE}${line.slice(0, Math.max(20, this.#out.columns - 1))}`);
  }

  end(): void {
    this.#out?.write(`${CLEAR_LINE}${SHOW_CURSOR}`);
  }
}

function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
