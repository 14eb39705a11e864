import type { Server, Socket } from 'node:net';
import { isLoopback } from './auth.js';
import { clientOf } from './client-address.js';
import type { Refusals } from './limits.js';
import type { ResolvedOptions } from './options.js';

/**
 * Bounds the open connections: of all, and of one address (of IPv6: its /64), so that a stranger alone cannot hold all of them. What is beyond a limit is closed without a word, before TLS, and counted.
 * Loopback is exempt from the second: a proxy there brings everybody.
 */
export function limitConnections(server: Server, { connections, connectionsPerAddress }: ResolvedOptions, refusals: Refusals): void {
  server.maxConnections = connections;
  server.on('drop', () => refusals.count('CONNECTIONS_EXHAUSTED'));
  if (connectionsPerAddress === 0) return;
  const open = new Map<string, number>();
  // Of a TLS server too this is the bare connection.
  server.on('connection', (socket: Socket) => {
    const { remoteAddress } = socket;
    // Without an address it is gone already.
    if (remoteAddress === undefined || isLoopback(remoteAddress.replace(/^::ffff:/, ''))) return;
    const client = clientOf(remoteAddress);
    const count = open.get(client) ?? 0;
    if (count >= connectionsPerAddress) {
      refusals.count('TOO_MANY_CONNECTIONS');
      socket.destroy();
      return;
    }
    open.set(client, count + 1);
    socket.once('close', () => {
      const left = open.get(client)! - 1;
      if (left === 0) open.delete(client);
      else open.set(client, left);
    });
  });
}
