import { connect, type Socket } from 'node:net';

/** How many messages may be without a PUBACK. */
const WINDOW = 4000;
const MESSAGES_A_WRITE = 100;

/**
 * Publishes as fast as a broker takes it, at a fraction of what mqtt.js costs, so that the broker and the subscriber are what is measured:
 * MQTT 3.1.1 packets by hand, many a write.
 */
export class RawPublisher {
  #unacknowledged = 0;
  #packetId = 0;
  #wake: (() => void) | undefined;

  private constructor(private readonly socket: Socket) {
    // After the CONNACK only PUBACKs come, four bytes each.
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      this.#unacknowledged -= bytes >> 2;
      bytes &= 3;
      this.#wake?.();
    });
    socket.on('drain', () => this.#wake?.());
  }

  static async connect(port: number): Promise<RawPublisher> {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('data', () => resolve());
      socket.write(Buffer.concat([Buffer.from([0x10, 15]), Buffer.from([0, 4]), Buffer.from('MQTT'), Buffer.from([4, 2, 0, 0]), Buffer.from([0, 3]), Buffer.from('raw')]));
    });
    return new RawPublisher(socket);
  }

  async publish(from: number, to: number, qos: 0 | 1, message: (i: number) => { topic: string; payload: string }): Promise<void> {
    for (let i = from; i < to; i += MESSAGES_A_WRITE) {
      const packets: Buffer[] = [];
      for (let k = i; k < Math.min(to, i + MESSAGES_A_WRITE); k++) packets.push(this.#packet(message(k), qos));
      this.socket.write(Buffer.concat(packets));
      while (this.#unacknowledged > WINDOW || this.socket.writableNeedDrain) await this.#change();
    }
    while (this.#unacknowledged > 0) await this.#change();
  }

  end(): void {
    this.socket.destroy();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => { this.#wake = resolve; });
  }

  #packet({ topic, payload }: { topic: string; payload: string }, qos: 0 | 1): Buffer {
    const length = 2 + topic.length + 2 * qos + payload.length;
    const packet = Buffer.allocUnsafe(3 + length);
    let at = 0;
    packet[at++] = 0x30 | (qos << 1);
    packet[at++] = (length & 0x7f) | 0x80;
    packet[at++] = length >> 7;
    packet[at++] = 0;
    packet[at++] = topic.length;
    at += packet.write(topic, at, 'latin1');
    if (qos === 1) {
      this.#packetId = (this.#packetId % 65_535) + 1;
      this.#unacknowledged++;
      packet[at++] = this.#packetId >> 8;
      packet[at++] = this.#packetId & 0xff;
    }
    packet.write(payload, at, 'latin1');
    return packet;
  }
}
