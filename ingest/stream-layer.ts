import { Duplex } from 'node:stream';

/** Stands between a socket and what speaks the protocol: what is written goes through as it is, what is read goes through `pass`, which hands on what it wants by `push`. */
export abstract class StreamLayer extends Duplex {
  protected readonly inner: Duplex;

  constructor(inner: Duplex, allowHalfOpen: boolean) {
    super({ allowHalfOpen });
    this.inner = inner;
    inner.on('data', (chunk: Buffer) => this.pass(chunk));
    inner.on('end', () => this.push(null));
    inner.on('error', (error) => this.destroy(error));
    inner.on('close', () => this.destroy());
  }

  protected abstract pass(chunk: Buffer): void;

  override _read(): void {
    this.inner.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.inner.write(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.inner.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: () => void): void {
    this.inner.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.inner.destroy();
    done(error);
  }
}
