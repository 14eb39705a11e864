import type { IncomingHttpHeaders, Server } from 'node:http';
import { createServer } from 'node:http';

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A web server on loopback that remembers what was posted to it, answers as it is told, and can go away and come back. */
export class WebInbox {
  readonly received: Received[] = [];
  /** The status and headers of the next answers. */
  answer: { status: number; headers?: Record<string, string> } = { status: 200 };
  /** When true a request is taken and never answered. */
  hangs = false;
  #server: Server | undefined;
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        this.received.push({ path: request.url!, headers: request.headers, body: Buffer.concat(parts).toString() });
        if (!this.hangs) response.writeHead(this.answer.status, this.answer.headers).end('{}');
      });
    });
    await new Promise<void>((resolve) => { server.listen(this.#port, '127.0.0.1', resolve); });
    this.#port = (server.address() as { port: number }).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    server.closeAllConnections();
    await new Promise((resolve) => { server.close(resolve); });
  }
}
