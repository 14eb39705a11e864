import { messageOf } from '../core/errors.js';
import { AuditLog } from '../store/audit.js';

/** Writes what a command did into the audit log of the data directory. */
export function audit(dataDir: string, action: string): Promise<void> {
  return new AuditLog(dataDir, (thrown) => process.stderr.write(`gruard: audit.log: ${messageOf(thrown)}\n`)).write({ by: 'command line', action });
}
