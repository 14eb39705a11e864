import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSinks } from '../../../alert/settings.js';
import { exampleYaml } from '../../../config/example.js';
import { loadConfig } from '../../../config/load.js';
import { printable } from '../../../config/printable.js';
import { configSchema } from '../../../config/schema.js';
import { environmentName, settingsOf } from '../../../config/walk.js';
import { GruardError } from '../../../core/errors.js';
import { shippedFile } from '../../../core/paths.js';
import type { Random } from '../../../core/random.js';
import { admits, parseUsers } from '../../../ingest/acl.js';
import { CsvFile } from '../../../ingest/file.js';
import { metricProblem } from '../../../ingest/names.js';
import { initialise } from '../../../model/network.js';
import { decodeWeights, encodeWeights } from '../../../model/weights.js';
import { parseTokens } from '../../../store/tokens.js';
import { decoderSettingsOf, detectorSettingsOf, limitsOf } from '../../../wiring.js';
import { below, bytesOf, json, mutate, NASTY, noise, pick, scratchFolder, Stream } from '../mutate.js';
import type { FuzzTarget } from '../target.js';

/** What is not right is refused with a code; anything else that is thrown is a defect. */
function coded<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (thrown) {
    if (!(thrown instanceof GruardError)) throw thrown;
    return undefined;
  }
}

const SETTINGS = settingsOf(configSchema);
const YAML = [
  'api:\n  port: 9000\n  allowed_hosts: [a, b]\nmqtt:\n  url: mqtt://x\n  topics: [a/#]\n', 'a: &a [1, 2]\nb: *a\n', '__proto__:\n  polluted: 1\napi:\n  __proto__: {port: 1}\n', 'detector:\n  overrides:\n  - {device: "x*", ignore: true}\n  maintenance:\n  - {start: 2026-01-01, end: x}\n',
  'alerts:\n  sinks:\n  - {kind: webhook, url: "http://x", name: w, secret: s}\n  - {kind: mqtt, url: mqtt://x}\n', 'decode:\n  topics:\n  - {topic: "a/{device}/#", tags: {a: b}}\n', '? {a: b}\n: c\n', '!!binary x\n', 'limits: null\n', '---\na\n---\nb\n', exampleYaml().replaceAll(/^( *)#(?! )/gm, '$1'),
].map(bytesOf);

/** Settings from a file and the environment: valid settings, or an error with a code; secrets stay masked. */
export const configTarget = (mutant: { printable?: typeof printable } = {}): FuzzTarget => ({
  name: 'config files',
  share: 5,
  open() {
    const dir = scratchFolder();
    const file = join(dir, 'gruard.yaml');
    const structured = new Stream(json);
    return {
      run(random, remember) {
        const bytes = below(random, 4) === 0 ? bytesOf(structured.next(random)) : mutate(random, pick(random, YAML));
        const setting = pick(random, SETTINGS);
        const environment = below(random, 3) === 0 && !setting.path.at(-1)!.endsWith('_file') ? { [environmentName(setting.path)]: pick(random, NASTY), GRUARD_API_TOKEN: 's3cret-t0ken' } : { GRUARD_API_TOKEN: 's3cret-t0ken' };
        remember({ environment, file: Buffer.from(bytes).toString('base64') });
        writeFileSync(file, bytes);
        const config = coded(() => loadConfig({ file, environment }));
        if (!config) return;
        assert.ok(config.api.token !== 's3cret-t0ken' || !JSON.stringify((mutant.printable ?? printable)(config)).includes('s3cret-t0ken'), 'a secret is printed');
        assert.ok(Object.values(limitsOf(config)).every((limit) => Number.isInteger(limit) && limit >= 0), 'a limit that is none');
        coded(() => detectorSettingsOf(config));
        coded(() => decoderSettingsOf(config));
        coded(() => readSinks(config.alerts.sinks));
      },
      close: async () => rmSync(dir, { recursive: true, force: true }),
    };
  },
});

/** Weights files, with their checksum put right again in half of the runs: a stranger can compute it too. */
export const weightsTarget = (mutant: { decode?: typeof decodeWeights } = {}): FuzzTarget => ({
  name: 'weights files',
  share: 12,
  open() {
    const shipped = new Uint8Array(readFileSync(shippedFile('model/weights/default.safetensors')));
    const small = encodeWeights(initialise({ features: 'v1', inputs: 2, layers: [{ cell: 'gru', units: 4 }], head: { outputs: 2, skip: true }, horizons: [1] }, 1));
    const structured = new Stream(json);
    return {
      run(random, remember) {
        const bytes = below(random, 3) === 0 ? withHeader(random, small, structured) : mutate(random, below(random, 20) === 0 ? shipped : small, shipped.length + 1000);
        remember(Buffer.from(bytes.subarray(0, 4096)).toString('base64'));
        const network = coded(() => (mutant.decode ?? decodeWeights)(bytes));
        if (!network) return;
        for (const tensor of network.tensors.values()) assert.ok(tensor.data.every(Number.isFinite) && tensor.data.byteLength <= bytes.length, 'a tensor that the file does not hold');
      },
    };
  },
});

/** One field of the header replaced, lengths and checksum as they should be. */
function withHeader(random: Random, bytes: Uint8Array, structured: Stream<string>): Uint8Array {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString()) as Record<string, Record<string, unknown>>;
  const data = bytes.subarray(8 + length);
  const entry = pick(random, Object.values(header));
  const key = pick(random, Object.keys(entry));
  const value = below(random, 2) === 0 ? structured.next(random) : pick(random, ['[4294967296,4294967296]', '[0,1e308]', '[-1,3]', '1e400', '{"features":"v1","inputs":1e9,"layers":[{"cell":"gru","units":1e9}],"head":{"outputs":9e9,"skip":true},"horizons":[1]}', `[${'[1],'.repeat(50)}1]`]);
  entry[key] = key === 'config' || typeof entry[key] === 'string' ? value : JSON.parse(value.replace('1e400', '1e308')) as unknown;
  const metadata = header.__metadata__ ?? {};
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__').map(([name, { dtype, shape, data_offsets }]) => [name, { dtype, shape, data_offsets }]);
  metadata.sha256 = createHash('sha256').update(JSON.stringify([Object.entries(metadata).filter(([name]) => name !== 'sha256'), entries])).update(data).digest('hex');
  const text = bytesOf(JSON.stringify(header));
  const front = Buffer.alloc(8);
  front.writeBigUInt64LE(BigInt(text.length));
  return new Uint8Array(Buffer.concat([front, text, data]));
}

const CSV = ['timestamp,temperature,humidity\n2025-06-15T15:06:40Z,21.4,40\n2025-06-15 15:07:40,,41\n1750000000,1e999,x\n', '\ufefftimestamp;a\n1;2\n', 'timestamp,a\n"2025-01-01","1\n2"\n', 'a,timestamp,__proto__\n1,1750000000000,2\n', 'timestamp,=cmd()\n1750000000,1\n'].map(bytesOf);

/** CSV files: rows, or an error with a code. */
export const csvTarget: FuzzTarget = {
  name: 'CSV files',
  share: 4,
  open() {
    const dir = scratchFolder();
    const path = join(dir, 'x.csv');
    return {
      async run(random, remember) {
        const bytes = below(random, 20) === 0 ? noise(random, 400) : mutate(random, pick(random, CSV));
        remember(Buffer.from(bytes).toString('base64'));
        writeFileSync(path, bytes);
        let rows = 0;
        try {
          const file = await CsvFile.open(path, { lineBytes: 2000, nameBytes: 64 });
          for (const metric of file.metrics) assert.equal(metricProblem(metric, 64), undefined);
          for await (const chunk of file.chunks()) {
            rows += chunk.length;
            for (const { timestampMs, values } of chunk) assert.ok(Number.isFinite(timestampMs) && values.length === file.metrics.length && values.every((value) => Number.isFinite(value) || Number.isNaN(value)));
          }
        } catch (thrown) {
          if (!(thrown instanceof GruardError)) throw thrown;
        }
        assert.ok(rows <= bytes.length, `${rows} rows in ${bytes.length} bytes`);
      },
      close: async () => rmSync(dir, { recursive: true, force: true }),
    };
  },
};

const HASH = 'scrypt$16$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
const TOKENS = bytesOf(JSON.stringify({ tokens: [{ name: 'a', sha256: 'a'.repeat(64), scopes: ['read', 'write'], created_at: 'x' }, { name: 'b', sha256: 'b'.repeat(64), scopes: ['admin'] }] }));
const USERS = bytesOf(JSON.stringify({ users: [{ name: 'oven3', password: HASH, publish: ['plant/%u/#'], subscribe: ['a/+'], devices: 'own' }, { name: 'g', password: HASH, publish: ['#'] }] }));

/** The files that say who may come in: whole, or refused whole. */
export const accessTarget = (mutant: { parseTokens?: typeof parseTokens; admits?: typeof admits } = {}): FuzzTarget => ({
  name: 'token and user files',
  share: 14,
  open: () => ({
    run(random, remember) {
      const tokens = mutate(random, TOKENS);
      const users = mutate(random, USERS);
      remember({ tokens: Buffer.from(tokens).toString('base64'), users: Buffer.from(users).toString('base64') });
      for (const token of coded(() => (mutant.parseTokens ?? parseTokens)(tokens, 'x')) ?? []) assert.ok(/^[0-9a-f]{64}$/.test(token.sha256) && token.scopes.every((scope) => ['read', 'write', 'admin'].includes(scope)));
      for (const user of coded(() => parseUsers(Buffer.from(users).toString(), 'x')) ?? []) {
        const topic = `${pick(random, ['plant', '$SYS', ''])}/${pick(random, NASTY)}`;
        for (const filter of user.publish) assert.ok(!(mutant.admits ?? admits)(filter, topic, { user: user.name, client: 'c' }) || !topic.startsWith('$'));
      }
    },
  }),
});
