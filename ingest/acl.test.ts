import fc from 'fast-check';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../core/clock.js';
import { Bench } from '../test/conformance/sources.js';
import { admits, hashPassword, isFilter, parseUsers, type BrokerUser } from './acl.js';
import { BrokerSource } from './broker.js';

const who = { user: 'oven3', client: 'c1' };

describe('topics of a user', () => {
  it.each<[string, string, boolean]>([
    ['%u/#', 'oven3/temperature', true], ['%u/#', 'oven3', true], ['%u/#', 'oven4/temperature', false], ['%u/#', '#', false], ['%u/#', '+/temperature', false],
    ['plant/+/%u', 'plant/line1/oven3', true], ['plant/+/%u', 'plant/line1/oven3/x', false], ['plant/+/%u', 'plant/line1', false], ['plant/+/%u', 'plant/+/oven3', true], ['plant/+/%u', 'plant/#', false],
    ['#', 'anything/at/all', true], ['#', '#', true], ['#', '$SYS/x', false], ['+/x', '$SYS/x', false], ['%c/x', 'c1/x', true], ['a', 'a/', false], ['a/+', 'a/', true],
  ])('%s admits %s: %s', (filter, topic, expected) => {
    expect(admits(filter, topic, who)).toBe(expected);
  });

  it('admit no filter that stands for more than they do', () => {
    const level = fc.constantFrom('a', 'b', '+', '%u', 'oven3', '');
    const filter = fc.tuple(fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean()).map(([levels, rest]) => [...levels, ...(rest ? ['#'] : [])].join('/')).filter(isFilter);
    const topic = fc.array(fc.constantFrom('a', 'b', 'oven3', '%u', ''), { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/')).filter((text) => text !== '');
    fc.assert(fc.property(filter, filter, topic, (allowed, asked, one) => {
      // What a subscription to `asked` would be given is what `allowed` gives by itself.
      if (admits(allowed, asked, who) && matches(asked, one)) expect(admits(allowed, one, who)).toBe(true);
    }), { numRuns: 2000 });
  });

  it('take a name with a wildcard for itself', () => {
    for (const user of ['#', '+', 'a/b', '']) expect(admits('%u/x', 'oven3/x', { user, client: '' })).toBe(false);
    expect(() => parseUsers(JSON.stringify({ users: [{ name: '+', password: '', publish: [] }] }), 'f')).toThrow(/name/);
  });
});

/** MQTT 4.7.1, of a filter without %u. */
function matches(filter: string, topic: string): boolean {
  const levels = topic.split('/');
  const wanted = filter.split('/');
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === '#') return true;
    if (i >= levels.length || (wanted[i] !== '+' && wanted[i] !== levels[i])) return false;
  }
  return wanted.length === levels.length;
}

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const path = join(mkdtempSync(join(tmpdir(), 'gruard-acl-')), 'users.json');
const save = (users: BrokerUser[]): void => writeFileSync(path, JSON.stringify({ users }));
const user = async (name: string, more: Partial<BrokerUser> = {}): Promise<BrokerUser> => ({ name, password: await hashPassword(`${name}-secret`, 'generated'), publish: ['plant/%u/#'], subscribe: [], devices: 'own', ...more });

async function open(): Promise<{ bench: Bench; broker: BrokerSource }> {
  const bench = new Bench();
  const broker = new BrokerSource(bench.stages, systemClock, { host: '127.0.0.1', port: 0, clients: 20, usersFile: path });
  closing.push(() => broker.close());
  await broker.open(bench.wake);
  return { bench, broker };
}

async function client(broker: BrokerSource, name: string, options: IClientOptions = {}): Promise<MqttClient> {
  const mqtt = await connectAsync(broker.url, { reconnectPeriod: 0, username: name, password: `${name}-secret`, ...options }, false);
  closing.push(() => mqtt.endAsync(true));
  return mqtt;
}

describe('users of the embedded broker', () => {
  it('send on their own topics, of themselves, whatever the payload says; a gateway names its devices', async () => {
    save([await user('oven3'), await user('gate', { publish: ['plant/#'], devices: 'any' })]);
    const { bench, broker } = await open();
    const oven = await client(broker, 'oven3');
    const gate = await client(broker, 'gate');
    const sent = [oven.publishAsync('plant/oven3/x', '{"device":"oven4","t":1}', { qos: 1 }), oven.publishAsync('plant/oven3/x', '[{"id":"oven5","t":2,"ts":1700000000}]', { qos: 1 })];
    await bench.until(broker, () => bench.rows.length === 2);
    sent.push(gate.publishAsync('plant/any', '{"device":"oven9","t":3}', { qos: 1 }));
    await bench.until(broker, () => bench.rows.length === 3);
    await Promise.all(sent);
    expect(bench.rows.map(({ device }) => device)).toEqual(['oven3', 'oven3', 'oven9']);
  });

  it('are cut off on a topic that is not theirs, and nothing of it is taken', async () => {
    save([await user('oven3')]);
    const { broker } = await open();
    const oven = await client(broker, 'oven3');
    const closed = new Promise((resolve) => oven.once('close', () => resolve(undefined)));
    oven.publish('plant/oven4/x', '{"t":1}', { qos: 1 }, () => undefined);
    await closed;
    expect(broker.status()).toMatchObject({ received: 0, detail: expect.stringContaining('1 cut off') as string });
  });

  it('subscribe to what they may, and cannot come into another user\'s session', async () => {
    save([await user('oven3', { subscribe: ['plant/%u/set'] }), await user('spy')]);
    const { broker } = await open();
    const oven = await client(broker, 'oven3', { clientId: 'c1', clean: false });
    expect((await oven.subscribeAsync('plant/oven3/set'))[0]).toMatchObject({ qos: 0 });
    await expect(oven.subscribeAsync('#')).rejects.toThrow();
    const spy = await client(broker, 'spy', { clientId: 'c1', clean: false });
    expect(oven.connected).toBe(true);
    await expect(spy.subscribeAsync('plant/oven3/set')).rejects.toThrow();
  });

  it('need their password, and are gone when the file says so', async () => {
    save([await user('oven3'), await user('oven4')]);
    const { broker } = await open();
    const oven = await client(broker, 'oven3');
    await expect(client(broker, 'oven3', { password: 'oven4-secret' })).rejects.toThrow();
    await expect(client(broker, 'stranger')).rejects.toThrow();
    const closed = new Promise((resolve) => oven.once('close', () => resolve(undefined)));
    save([await user('oven4'), await user('oven5')]);
    await closed;
    await expect(client(broker, 'oven3')).rejects.toThrow();
    await client(broker, 'oven5');
  });
});
