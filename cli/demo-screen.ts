import pc from 'picocolors';
import type { AnomalyEvent } from '../core/event.js';
import type { Overview } from '../core/service.js';
import { plain } from './text.js';

/**
 * What the demo shows on a terminal: entries that stay, and one line below them that is written over again and again.
 * Where stdout is not a terminal the status line comes as a line of its own, seldom.
 */
export class DemoScreen {
  readonly #live = process.stdout.isTTY === true;
  #status = '';
  #lastPlainMs = -Infinity;

  entry(text: string): void {
    this.#erase();
    process.stdout.write(`${text}\n`);
    this.#draw();
  }

  status(text: string, nowMs: number): void {
    if (!this.#live) {
      if (nowMs - this.#lastPlainMs < 5000) return;
      this.#lastPlainMs = nowMs;
      process.stdout.write(`${text}\n`);
      return;
    }
    this.#erase();
    this.#status = text;
    this.#draw();
  }

  end(): void {
    this.#erase();
    this.#status = '';
  }

  #erase(): void {
    if (this.#live && this.#status !== '') process.stdout.write('\r\x1b[2K');
  }

  #draw(): void {
    if (!this.#live || this.#status === '') return;
    process.stdout.write(cut(this.#status, (process.stdout.columns ?? 120) - 1));
  }
}

/** The first so many characters that show: colours take no room, and none is cut in two or left on. */
export function cut(text: string, columns: number): string {
  let room = columns;
  // eslint-disable-next-line no-control-regex
  return text.split(/(\x1b\[\d+m)/).map((piece, i) => {
    if (i % 2 === 1) return piece;
    const shown = piece.slice(0, room);
    room -= shown.length;
    return shown;
  }).join('');
}

/** What counts comes first: a narrow terminal cuts the end. */
export function statusLine(overview: Overview, phase: string): string {
  const open = overview.openAnomalies;
  const clock = new Date(overview.nowMs).toISOString().slice(0, 16).replace('T', ' ');
  return [
    pc.dim(clock), phase, `open: ${open.critical} critical, ${open.warning} warning, ${open.info} info`,
    `${overview.devices} devices`, overview.warmingUp.devices > 0 ? `${overview.warmingUp.devices} warming up` : '',
    `${whole(overview.readingsPerSecond)}/s`, `${whole(overview.readingsTotal)} readings`,
  ].filter((part) => part !== '').join('  ');
}

const COLOURS = { critical: pc.red, warning: pc.yellow, info: pc.cyan };

export function eventEntry(change: 'opened' | 'updated' | 'resolved', event: AnomalyEvent, answer: string): string {
  const at = new Date(change === 'resolved' ? event.resolvedMs ?? event.updatedMs : event.openedMs).toISOString().slice(11, 16);
  const mark = change === 'resolved' ? pc.green('resolved') : COLOURS[event.severity](event.severity.padEnd(8));
  const where = `${plain(event.device)} ${plain(event.metric)}`;
  const what = change === 'resolved' ? `after ${duration((event.resolvedMs ?? event.updatedMs) - event.openedMs)}` : event.reason;
  return `${pc.dim(at)} ${mark} ${pc.bold(where)} ${plain(what)}${answer === '' ? '' : ` ${pc.dim(answer)}`}`;
}

export function duration(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}
