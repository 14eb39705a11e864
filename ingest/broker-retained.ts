import { Readable } from 'node:stream';
import type { Aedes } from 'aedes';

interface Kept {
  topic: string;
  payload: Buffer | string;
}

/** The part of aedes' persistence that keeps retained messages. */
interface Persistence {
  storeRetained(packet: Kept): Promise<void>;
  createRetainedStreamCombi(filters: string[]): Readable;
}

/** Topics that are looked at before others have their turn. */
const TURN_TOPICS = 1000;

/**
 * The retained messages of the broker. aedes looks through all of them for each filter of a SUBSCRIBE, and does nothing else meanwhile: a packet of a thousand filters would stop gruard for
 * half a minute. Here a topic is found by its name, and filters with wildcards are matched all at once, in turns.
 */
export class RetainedMessages {
  /** By topic. */
  readonly #kept = new Map<string, Kept>();

  guard(aedes: Aedes): void {
    const { persistence } = aedes as unknown as { persistence: Persistence };
    persistence.storeRetained = async (packet) => {
      if (packet.payload.length === 0) this.#kept.delete(packet.topic);
      else this.#kept.set(packet.topic, { ...packet });
    };
    persistence.createRetainedStreamCombi = (filters) => Readable.from(this.#matching(filters));
  }

  async *#matching(filters: string[]): AsyncGenerator<Kept> {
    const wild = new FilterTree();
    for (const filter of filters) {
      if (/[+#]/.test(filter)) wild.add(filter);
      else {
        const found = this.#kept.get(filter);
        if (found) yield found;
      }
    }
    if (wild.empty) return;
    let turn = 0;
    for (const [topic, packet] of this.#kept) {
      if (++turn % TURN_TOPICS === 0) await new Promise(setImmediate);
      if (wild.matches(topic)) yield packet;
    }
  }
}

interface Node {
  levels: Map<string, Node>;
  /** A filter ends here. */
  end: boolean;
  /** A filter goes on with #. */
  rest: boolean;
}

const newNode = (): Node => ({ levels: new Map(), end: false, rest: false });

/** Topic filters by their levels (MQTT 3.1.1, 4.7.1). */
export class FilterTree {
  readonly #root = newNode();
  empty = true;

  add(filter: string): void {
    this.empty = false;
    let node = this.#root;
    for (const level of filter.split('/')) {
      if (level === '#') {
        node.rest = true;
        return;
      }
      const next = node.levels.get(level) ?? newNode();
      node.levels.set(level, next);
      node = next;
    }
    node.end = true;
  }

  matches(topic: string): boolean {
    return matches(this.#root, topic.split('/'), 0);
  }
}

function matches(node: Node, levels: string[], at: number): boolean {
  if (node.rest) return true;
  if (at === levels.length) return node.end;
  const [named, any] = [node.levels.get(levels[at]), node.levels.get('+')];
  return (named !== undefined && matches(named, levels, at + 1)) || (any !== undefined && matches(any, levels, at + 1));
}
