import type { Server, Socket } from 'node:net';
import { isLoopback } from './auth.js';
import type { Refusals } from './limits.js';
import type { ResolvedOptions } from './options.js';

/**
 * Bounds the open connections: of all, and of one address, so that a stranger alone cannot hold all of them. What is beyond a limit is closed without a word, before TLS, and counted.
 * Loopback is exempt from the second: a proxy there brings everybody.
 */
export function limitConnections(server: Server, { connections, connectionsPerAddress }: ResolvedOptions, refusals: Refusals): void {
  server.maxConnections = connections;
  server.on('drop', () => refusals.count('CONNECTIONS_EXHAUSTED'));
  if (connectionsPerAddress === 0) return;
  const open = new Map<string, number>();
  // Of a TLS server too this is the bare connection.
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress;
    // Without an address it is gone already.
    if (address === undefined || isLoopback(address.replace(/^::ffff:/, ''))) return;
    const count = open.get(address) ?? 0;
    if (count >= connectionsPerAddress) {
      refusals.count('TOO_MANY_CONNECTIONS');
      socket.destroy();
      return;
    }
    open.set(address, count + 1);
    socket.once('close', () => {
      const left = open.get(address)! - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
  });
}
