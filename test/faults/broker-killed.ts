import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Mosquitto } from '../servers/mosquitto.js';
import { audit, pause, Publisher, Target, until } from './bench.js';

export interface BrokerKilled {
  kills: number;
  readings: number;
  lost: number;
  /** Acknowledged by the broker in the moment of its death, and not on its disk: it keeps them in memory until it next saves. */
  forgotten_by_the_broker: number;
  twice: number;
}

/** The broker saves its sessions every so many changes; what it acknowledged in the last moments before a kill need not be in there. */
const EDGE_MS = 250;

/** Mosquitto, with persistence, is killed with SIGKILL under traffic and started again. */
export async function brokerKilled(kills: number, upMs: number): Promise<BrokerKilled> {
  const dir = mkdtempSync(join(tmpdir(), 'gruard-killed-'));
  mkdirSync(join(dir, 'mosquitto'));
  const options = { dir: join(dir, 'mosquitto'), config: ['autosave_interval 1'] };
  let broker = await Mosquitto.start(options);
  const target = await Target.start({ data_dir: join(dir, 'data'), 'broker.enabled': 'off', 'mqtt.url': broker.url, 'mqtt.topics': ['plant/#'] });
  try {
    const publisher = await Publisher.start(broker.url, 20, 20);
    const killedMs: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      await pause(upMs);
      await broker.stop('SIGKILL');
      killedMs.push(performance.now());
      await pause(200);
      broker = await Mosquitto.start({ ...options, port: broker.port });
    }
    await pause(upMs);
    await publisher.finish();
    let stored = -1;
    await until('the store has what the broker delivers', async () => {
      const before = stored;
      stored = (await target.stored('pump0', 'flow')).length;
      const { lag, unacknowledged } = await target.look();
      if (lag === 0 && unacknowledged === 0 && stored === before) return true;
      await pause(500);
      return false;
    });
    const { lost, twice, excused } = await audit(target, publisher, (ms) => killedMs.some((killed) => ms > killed - EDGE_MS && ms <= killed));
    return { kills, readings: publisher.sent, lost, forgotten_by_the_broker: excused, twice };
  } finally {
    await target.end();
    await broker.stop('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}
