import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { SourceStatus } from './core/source.js';
import { logSources } from './source-log.js';

describe('logSources', () => {
  it('says once that a source is connected, that it is lost and that it is back', async () => {
    const lines: string[] = [];
    const write = (level: string) => (message: string, fields: Record<string, unknown> = {}) => { lines.push(`${level} ${message} ${String(fields.reason ?? fields.address)}`); };
    const status: SourceStatus = { state: 'connecting', address: 'mqtt://broker.local:1883', detail: null, received: 0 };
    const stop = logSources([{ name: 'mqtt', status: () => status }], { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }, 5);
    const next = async (state: SourceStatus['state'], detail: string | null): Promise<void> => {
      Object.assign(status, { state, detail });
      await sleep(30);
    };
    await next('connected', null);
    await next('disconnected', 'connect ECONNREFUSED');
    await next('connecting', null);
    await next('disconnected', 'connect ECONNREFUSED');
    await next('connected', null);
    stop();
    await next('disconnected', 'after the end');
    expect(lines).toEqual([
      'info source connected mqtt://broker.local:1883',
      'warn source not connected; gruard keeps trying connect ECONNREFUSED',
      'info source connected mqtt://broker.local:1883',
    ]);
  });
});
