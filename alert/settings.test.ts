import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSinks } from './settings.js';

const refused = (raw: Record<string, unknown>): string => {
  try {
    readSinks([raw]);
  } catch (error) {
    return (error as Error).message;
  }
  return 'accepted';
};

describe('settings of sinks', () => {
  test('defaults', () => {
    expect(readSinks([{ kind: 'log' }, { kind: 'webhook', name: 'ops', url: 'https://hooks.example.com/x', min_severity: 'critical', changes: ['opened'] }])).toEqual([
      { kind: 'log', name: 'log', maxPerMinute: 60, telling: { route: {}, changes: ['opened', 'updated', 'resolved'], updateIntervalMs: 3_600_000, cooldownMs: 0 } },
      { kind: 'webhook', name: 'ops', url: 'https://hooks.example.com/x', headers: {}, timeoutMs: 10_000, maxPerMinute: 60, telling: { route: { minSeverity: 'critical' }, changes: ['opened'], updateIntervalMs: 3_600_000, cooldownMs: 0 } },
    ]);
  });

  test('what is wrong is named with its path and what was expected', () => {
    expect(refused({})).toContain('alerts.sinks[0].kind: expected one of webhook, mqtt, alertmanager, kafka, log');
    expect(refused({ kind: 'pigeon' })).toContain('alerts.sinks[0].kind');
    expect(refused({ kind: 'log', colour: 1 })).toContain('alerts.sinks[0].colour: no such setting');
    expect(refused({ kind: 'log', url: 'x' })).toContain('alerts.sinks[0].url: no such setting');
    expect(refused({ kind: 'webhook' })).toContain('alerts.sinks[0].url');
    expect(refused({ kind: 'log', min_severity: 'high' })).toContain('info, warning, critical');
    expect(refused({ kind: 'log', devices: 'oven*' })).toContain('a list of texts');
    expect(refused({ kind: 'log', kinds: ['spike', 'boom'] })).toContain('alerts.sinks[0].kinds');
    expect(refused({ kind: 'log', cooldown_ms: -1 })).toContain('alerts.sinks[0].cooldown_ms');
    expect(refused({ kind: 'log', name: '../x' })).toContain('alerts.sinks[0].name');
    expect(refused({ kind: 'webhook', url: 'https://x', template: { a: ['{{nope}}'] } })).toContain('{{nope}}');
    expect(refused({ kind: 'mqtt', url: 'mqtt://x', topic_prefix: 'a/#' })).toContain('topic_prefix');
    expect(() => readSinks([{ kind: 'log' }, { kind: 'log' }])).toThrow('two sinks are called log');
  });

  test('an address is https, or http on loopback, and holds no credentials', () => {
    for (const url of ['https://hooks.example.com/x', 'http://127.0.0.1:9093', 'http://localhost/', 'http://[::1]:80/']) expect(refused({ kind: 'webhook', url })).toBe('accepted');
    for (const url of ['http://hooks.example.com', 'http://127.0.0.1.example.com/', 'http://localhost.example.com', 'ftp://127.0.0.1', 'file:///etc/passwd', 'https://user:pass@host/', '/hook', 'http://10.0.0.1/']) {
      expect(refused({ kind: 'webhook', url }), url).toContain('alerts.sinks[0].url');
    }
  });

  test('a secret can stand in a file', () => {
    const dir = mkdtempSync(join(tmpdir(), 'gruard-alert-'));
    writeFileSync(join(dir, 'secret'), 's3cret\n');
    expect(readSinks([{ kind: 'webhook', url: 'https://x', secret_file: join(dir, 'secret') }])).toMatchObject([{ secret: 's3cret' }]);
    expect(() => readSinks([{ kind: 'webhook', url: 'https://x', secret_file: join(dir, 'none') }])).toThrow(expect.objectContaining({ code: 'CONFIG_UNREADABLE' }));
    writeFileSync(join(dir, 'empty'), '\n');
    expect(refused({ kind: 'webhook', url: 'https://x', secret_file: join(dir, 'empty') })).toContain('alerts.sinks[0].secret_file: expected a file that is not empty');
    expect(refused({ kind: 'mqtt', url: 'mqtts://x', cert_file: join(dir, 'none') })).toContain('alerts.sinks[0].cert_file');
    rmSync(dir, { recursive: true });
  });

  test('a header that fetch would refuse is refused at the start, by its name: what fetch says of it holds the value', () => {
    for (const value of ['Bearer S3CRET\nx', 'S3CRET\0', 'S3CRET\u2192']) {
      const message = refused({ kind: 'webhook', url: 'https://x', headers: { authorization: value } });
      expect(message).toContain('alerts.sinks[0].headers.authorization');
      expect(message).not.toContain('S3CRET');
    }
    expect(refused({ kind: 'alertmanager', url: 'https://x', headers: { 'a b': 'x' } })).toContain('"a b"');
    expect(refused({ kind: 'alertmanager', url: 'https://x', headers: { 'X-Scope': 'Bearer abc.def~+/=' } })).toBe('accepted');
  });
});
