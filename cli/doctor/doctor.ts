import pc from 'picocolors';
import { processEnvironment } from '../../config/environment.js';
import { unknownNames } from '../../config/load.js';
import type { Config } from '../../config/schema.js';
import { VERSION } from '../../core/version.js';
import { configOf, type CommonOptions } from '../options.js';
import { plain } from '../text.js';
import type { Finding } from './finding.js';
import { certificates, dataDirectory, embeddedStore, ports, tensorflow, weights } from './machine.js';
import { servers } from './servers.js';

export interface DoctorOptions extends CommonOptions {
  json?: boolean;
}

const MARKS = { ok: pc.green('ok     '), note: pc.yellow('note   '), problem: pc.red('problem') };

/** `gruard doctor`: exit 0 where nothing keeps gruard from running. */
export async function doctor(options: DoctorOptions): Promise<void> {
  const findings = await examine(configOf(options));
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ version: VERSION, findings })}\n`);
  } else {
    for (const { check, status, detail, next } of findings) {
      process.stdout.write(`${MARKS[status]}  ${check}: ${plain(detail)}\n`);
      for (const line of next?.split('\n') ?? []) process.stdout.write(`         ${plain(line)}\n`);
    }
  }
  if (findings.some(({ status }) => status === 'problem')) process.exitCode = 1;
}

function environment(): Finding[] {
  const names = unknownNames(processEnvironment());
  if (names.length === 0) return [];
  return [{ check: 'environment', status: 'note', detail: `${names.join(', ')}: no such setting, ignored`, next: '`gruard config --example` lists the names.' }];
}

async function examine(config: Config): Promise<Finding[]> {
  return [
    { check: 'gruard', status: 'ok', detail: `${VERSION} on Node ${process.version}, ${process.platform}-${process.arch}` },
    ...environment(),
    await dataDirectory(config),
    ...await embeddedStore(config),
    ...await weights(config),
    await tensorflow(config),
    ...await ports(config),
    ...certificates(config),
    ...await servers(config),
  ];
}
