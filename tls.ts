import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { GruardError, messageOf } from './core/errors.js';
import type { TlsIdentity, TlsPair } from './core/tls.js';

const LOOK_MS = 1000;

/**
 * The certificate and key of a section of the settings, looked at every second, so that a renewed pair is shown to whoever connects from then on. A pair that does not fit together (one of the files
 * has not been replaced yet) or cannot be read leaves the one before in use.
 */
export class TlsFiles implements TlsIdentity {
  readonly cert: string;
  readonly key: string;
  readonly #stamp: string;

  /** @throws GruardError TLS_INVALID, CONFIG_UNREADABLE. */
  constructor(private readonly certFile: string, private readonly keyFile: string, private readonly section: string) {
    this.#stamp = this.#stampNow();
    const { cert, key } = this.#read();
    this.cert = cert;
    this.key = key;
  }

  watch(renewed: (pair: TlsPair) => void, failed: (thrown: unknown) => void): () => void {
    let seen = this.#stamp;
    let failedAt = '';
    const timer = setInterval(() => {
      const stamp = this.#stampNow();
      if (stamp === seen) return;
      try {
        renewed(this.#read());
        seen = stamp;
      } catch (thrown) {
        // Once for each state of the files.
        if (stamp !== failedAt) failed(thrown);
        failedAt = stamp;
      }
    }, LOOK_MS).unref();
    return () => clearInterval(timer);
  }

  #read(): TlsPair {
    const cert = this.#text(this.certFile, 'tls_cert_file');
    const key = this.#text(this.keyFile, 'tls_key_file');
    try {
      createSecureContext({ cert, key });
    } catch (cause) {
      throw new GruardError('TLS_INVALID', `${this.section}.tls_cert_file ${this.certFile} and ${this.section}.tls_key_file ${this.keyFile}: ${messageOf(cause)}`, { cause });
    }
    return { cert, key };
  }

  #text(file: string, setting: string): string {
    try {
      return readFileSync(file, 'utf8');
    } catch (cause) {
      throw new GruardError('CONFIG_UNREADABLE', `${this.section}.${setting}: ${messageOf(cause)}`, { cause });
    }
  }

  /** Links are followed: every replacement is another file or another time. */
  #stampNow(): string {
    return [this.certFile, this.keyFile].map((file) => {
      const found = statSync(file, { throwIfNoEntry: false });
      return found ? `${found.ino} ${found.mtimeMs} ${found.size}` : 'missing';
    }).join(', ');
  }
}
