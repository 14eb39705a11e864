import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ERRORS, type ErrorCode } from '../core/errors.js';
import { shippedFile } from '../core/paths.js';
import { FakeService } from '../test/browser/fake-service.js';
import { buildServer } from './server.js';

const text = readFileSync(shippedFile('docs/api.md'), 'utf8');

it('docs/api.md names every call that there is, and no other', async () => {
  const server = buildServer(new FakeService(0), { host: '127.0.0.1', port: 0 });
  await server.ready();
  const { paths } = server.swagger() as { paths: Record<string, Record<string, unknown>> };
  await server.close();
  const calls = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
  const documented = [...text.matchAll(/^\| `([A-Z]+ \/\S+)`/gm)].map((match) => match[1]);
  expect(documented.sort()).toEqual(calls.filter((call) => !call.startsWith('HEAD ')).sort());
});

it('docs/api.md gives error codes with their status', () => {
  const rows = [...text.matchAll(/^\| ([\d, ]+) \| (`[A-Z_`, ]+) \|$/gm)];
  expect(rows.length).toBeGreaterThan(5);
  for (const [, statuses, codes] of rows) {
    for (const [, code] of codes.matchAll(/`([A-Z_]+)`/g)) expect(statuses, code).toContain(String(ERRORS[code as ErrorCode].status));
  }
});
