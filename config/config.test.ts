import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { shippedFile } from '../core/paths.js';
import { exampleYaml } from './example.js';
import { loadConfig, printable } from './load.js';
import { configSchema } from './schema.js';
import { environmentName, settingsOf } from './walk.js';

const dir = mkdtempSync(join(tmpdir(), 'gruard-config-'));
const file = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};

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

  it('gives each setting an environment name of its own', () => {
    const names = settingsOf(configSchema).map((setting) => environmentName(setting.path));
    expect(new Set(names).size).toBe(names.length);
  });

  it('has an example file that is what the schema says, and that loads to the defaults when uncommented', () => {
    expect(readFileSync(shippedFile('config/gruard.example.yaml'), 'utf8')).toBe(exampleYaml());
    const uncommented = exampleYaml().replaceAll(/^( *)#(?! )/gm, '$1');
    expect(parse(uncommented)).toEqual(JSON.parse(JSON.stringify(loadConfig({ environment: {} }))));
  });
});
