import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { Measure } from '../core/service.js';

/** Prometheus text exposition format 0.0.4: in label values `\`, `"` and the line feed are escaped; in help texts `\` and the line feed. */
const label = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
const help = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');

function number(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (Number.isFinite(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}

export function expose(measures: Measure[]): string {
  const lines: string[] = [];
  for (const { name, help: text, type, values } of measures) {
    lines.push(`# HELP ${name} ${help(text)}`, `# TYPE ${name} ${type}`);
    for (const { labels, value } of values) {
      const pairs = Object.entries(labels).map(([key, at]) => `${key}="${label(at)}"`);
      lines.push(`${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${number(value)}`);
    }
  }
  return lines.length > 0 ? `${lines.join('\n')}\n` : '';
}

/** What the process and the API say of themselves. */
export class ProcessMetrics {
  readonly #registry = new Registry();
  readonly #duration = new Histogram({
    name: 'gruard_http_request_duration_seconds',
    help: 'Time to answer a request, by route (never by path, which holds names).',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5],
    registers: [this.#registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
  }

  observe(method: string, route: string, status: number, seconds: number): void {
    this.#duration.observe({ method, route, status: String(status) }, seconds);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
