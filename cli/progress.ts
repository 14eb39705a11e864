import { Presets, SingleBar } from 'cli-progress';

/** A progress bar on stderr, where that is a terminal; nothing elsewhere. */
export class Progress {
  readonly #bar: SingleBar | undefined;

  constructor(what: string) {
    if (!process.stderr.isTTY) return;
    this.#bar = new SingleBar({ format: `${what} [{bar}] {percentage}%  {rows} rows  ETA {eta_formatted}`, stream: process.stderr, hideCursor: true, clearOnComplete: true }, Presets.rect);
    this.#bar.start(1000, 0, { rows: 0 });
  }

  update(fraction: number, rows: number): void {
    this.#bar?.update(Math.round(fraction * 1000), { rows });
  }

  end(): void {
    this.#bar?.stop();
  }
}
