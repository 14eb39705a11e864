import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { shippedFile } from '../core/paths.js';
import { exampleYaml } from './example.js';
import { loadConfig, unknownNames } from './load.js';
import { printable } from './printable.js';
import { configSchema } from './schema.js';
import { environmentName, settingsOf } from './walk.js';

const dir = mkdtempSync(join(tmpdir(), 'gruard-config-'));
const file = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (thrown) {
    return thrown;
  }
  throw new Error('nothing was thrown');
}

describe('configuration', () => {
  it('is complete without any file', () => {
    const config = loadConfig({ environment: {} });
    expect(config.api).toMatchObject({ host: '127.0.0.1', port: 8480 });
    expect(config.broker.port).toBe(1883);
    expect(config.store.influxdb.database).toBe('gruard');
  });

  it('takes the file, then the environment, then the command line', () => {
    const path = file('a.yaml', 'api:\n  port: 9000\nmqtt:\n  topics: [a/#]\n');
    const environment = { GRUARD_API_PORT: '9001', GRUARD_MQTT_TOPICS: 'b/#, c/+', GRUARD_MQTT_QOS: '0' };
    expect(loadConfig({ file: path, environment: {} }).api.port).toBe(9000);
    expect(loadConfig({ file: path, environment }).api.port).toBe(9001);
    expect(loadConfig({ file: path, environment }).mqtt).toMatchObject({ topics: ['b/#', 'c/+'], qos: 0 });
    expect(loadConfig({ file: path, environment, overrides: { 'api.port': 9002 } }).api.port).toBe(9002);
  });

  it('names the setting and what was expected', () => {
    const load = (text: string) => () => loadConfig({ file: file('bad.yaml', text), environment: {} });
    expect(load('api:\n  port: high\n')).toThrow(/api\.port: integer 0\.\.65535 expected/);
    expect(load('api:\n  prot: 1\n')).toThrow(/api\.prot: there is no such setting/);
    expect(load('broker:\n  enabled: maybe\n')).toThrow(/broker\.enabled: one of auto, on, off expected/);
    expect(load('- a\n')).toThrow(/mapping/);
    expect(load('a: [')).toThrow();
    expect(() => loadConfig({ environment: { GRUARD_API_PORT: 'x' } })).toThrow(/GRUARD_API_PORT: a number expected/);
  });

  it('reads secrets from files and never prints them', () => {
    const path = file('secret', 's3cret\n');
    const config = loadConfig({ environment: { GRUARD_MQTT_PASSWORD_FILE: path, GRUARD_API_TOKEN: 'tok3n' } });
    expect(config.mqtt.password).toBe('s3cret');
    expect(JSON.stringify(printable(config))).not.toMatch(/s3cret|tok3n/);
    expect(() => loadConfig({ environment: { GRUARD_MQTT_PASSWORD_FILE: join(dir, 'missing') } })).toThrow(/mqtt\.password_file/);
  });

  it('never prints what is secret in a sink or an address, nor a field that it does not know', () => {
    const path = file('sinks.yaml', `
mqtt: { url: "mqtts://user:S3CRET@broker:8883" }
store: { influxdb: { url: "http://user:S3CRET@influx:8086/base?token=S3CRET" } }
alerts:
  sinks:
    - { kind: webhook, name: chat, min_severity: warning, url: "https://hooks.example.com/T0/S3CRET?k=S3CRET", secret: S3CRET, headers: { authorization: S3CRET }, template: { routing_key: S3CRET } }
    - { kind: mqtt, url: "mqtt://u:S3CRET@home", password: S3CRET, pasword: S3CRET }
    - { kind: alertmanager, url: "S3CRET@x" }
    - { kind: kafka, brokers: ["a:9092"], sasl: plain, username: u, password: S3CRET }
`);
    const printed = printable(loadConfig({ file: path, environment: {} }));
    expect(JSON.stringify(printed)).not.toContain('S3CRET');
    expect(printed).toMatchObject({
      mqtt: { url: 'mqtts://********@broker:8883' }, store: { influxdb: { url: 'http://********@influx:8086/base?********' } },
      alerts: { sinks: [
        { kind: 'webhook', name: 'chat', min_severity: 'warning', url: 'https://hooks.example.com/********', secret: '********' },
        { kind: 'mqtt', url: 'mqtt://********@home', pasword: '********' }, { url: '********' }, { brokers: ['a:9092'], username: 'u', password: '********' },
      ] },
    });
    expect(printable(loadConfig({ environment: { GRUARD_MQTT_URL: 'mqtt://broker' } }))).toMatchObject({ mqtt: { url: 'mqtt://broker' }, store: { influxdb: { url: 'http://127.0.0.1:8086' } } });
  });

  it('takes bytes and sets of YAML for no settings', () => {
    for (const text of ['!!binary x\n', '!!binary ""\n', 'api: !!binary ""\n', 'api: !!set { a }\n', 'api: !!timestamp 2026-01-01\n']) {
      expect(() => loadConfig({ file: file('tags.yaml', text), environment: {} }), text).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }) as Error);
    }
  });

  it('says where a file is not YAML, and nothing of what stands there', () => {
    for (const text of ['api: { token: "S3CRET" x }\n', 'api: { token: S3CRET }\napi: {}\n', 'api: { token: *S3CRET }\n', 'api: { token: !!S3CRET x\n', 'api:\n  token: "S3CRET\n', 'api: { token: @S3CRET }\n', 'a: |\n S3CRET\nS3CRET\n']) {
      const refused = catchError(() => loadConfig({ file: file('bad.yaml', text), environment: {} }));
      expect(refused).toMatchObject({ code: 'CONFIG_UNREADABLE' });
      expect(inspect(refused, { depth: 9 })).not.toContain('S3CRET');
    }
    expect(() => loadConfig({ file: file('bad.yaml', 'api: {}\napi: {}\n'), environment: {} })).toThrow(/duplicate key at line 2, column 1/);
  });

  it('takes an empty file of a secret for a mistake, and not for "no secret"', () => {
    const empty = file('empty', '\n');
    expect(() => loadConfig({ environment: { GRUARD_API_TOKEN_FILE: empty } })).toThrow(/api\.token_file: .* is empty/);
    expect(() => loadConfig({ environment: { GRUARD_BROKER_PASSWORD_FILE: empty } })).toThrow(/broker\.password_file/);
  });

  it('gives each setting an environment name of its own', () => {
    const names = settingsOf(configSchema).map((setting) => environmentName(setting.path));
    expect(new Set(names).size).toBe(names.length);
  });

  it('finds a name in the environment that is no setting, and leaves alone what a container platform puts there', () => {
    const service = { GRUARD_PORT: 'tcp://10.0.0.1:8480', GRUARD_PORT_8480_TCP_ADDR: '10.0.0.1', GRUARD_SERVICE_HOST: '10.0.0.1', GRUARD_SERVICE_PORT_API: '8480', GRUARD_CONFIG: 'x.yaml', GRUARD_MQTT_URL: 'mqtt://x', PATH: '/bin' };
    expect(unknownNames({ ...service, GRUARD_MQTT_URI: 'mqtt://x', GRUARD_BROKR_PORT: '1883' })).toEqual(['GRUARD_BROKR_PORT', 'GRUARD_MQTT_URI']);
  });

  it('has an example file that is what the schema says, and that loads to the defaults when uncommented', () => {
    expect(readFileSync(shippedFile('config/gruard.example.yaml'), 'utf8')).toBe(exampleYaml());
    const uncommented = exampleYaml().replaceAll(/^( *)#(?! )/gm, '$1');
    expect(parse(uncommented)).toEqual(JSON.parse(JSON.stringify(loadConfig({ environment: {} }))));
  });
});
