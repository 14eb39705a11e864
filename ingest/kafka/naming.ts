import type { IHeaders } from 'kafkajs';
import type { Named } from '../decode/message.js';

export interface NamingSettings {
  /** `payload`: the device that the payload names, else the key. `key`: always the key. */
  device: 'payload' | 'key';
  /** Headers that become tags of the device. */
  tagHeaders: string[];
}

const REMEMBERED = 100_000;

/** What key and headers of a message say. A fleet says the same again and again, so it is remembered (a bounded number of them). */
export class Naming {
  readonly #known = new Map<string, Named>();
  readonly #unnamed: Named;

  constructor(private readonly settings: NamingSettings) {
    this.#unnamed = { device: undefined, deviceIsFixed: false, tags: undefined };
  }

  get wantsHeaders(): boolean {
    return this.settings.tagHeaders.length > 0;
  }

  /** `key` is the message's, '' for none. `headers` are looked at where tags are wanted. */
  of(key: string, headers: IHeaders | undefined): Named {
    const device = key === '' ? undefined : key;
    const tags = this.settings.tagHeaders.length === 0 ? undefined : this.#tags(headers);
    if (tags !== undefined) return this.#make(device, tags);
    if (device === undefined) return this.#unnamed;
    let named = this.#known.get(device);
    if (named === undefined) {
      if (this.#known.size >= REMEMBERED) this.#known.clear();
      named = this.#make(device, undefined);
      this.#known.set(device, named);
    }
    return named;
  }

  #make(device: string | undefined, tags: Record<string, string> | undefined): Named {
    return { device, deviceIsFixed: this.settings.device === 'key', tags };
  }

  #tags(headers: IHeaders | undefined): Record<string, string> | undefined {
    if (headers === undefined) return undefined;
    const tags: [string, string][] = [];
    for (const name of this.settings.tagHeaders) {
      const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
      if (value === undefined) continue;
      tags.push([name, (Array.isArray(value) ? value[0] : value).toString()]);
    }
    return tags.length === 0 ? undefined : Object.fromEntries(tags);
  }
}
