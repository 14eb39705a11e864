import { stringify } from 'yaml';
import { configSchema } from './schema.js';
import { environmentName, expectation, type SettingSchema } from './walk.js';

/** The commented example file: every setting with its description, bounds, environment name and default. */
export function exampleYaml(): string {
  const head = [
    '# gruard settings. Every line shows a default: uncomment what you want to change.',
    '# Each setting can also be given in the environment under the name at the end of its comment.',
    '# This file is made from config/schema.ts by `npm run config:example`; a test fails when the two differ.',
    '',
  ];
  return [...head, ...lines((configSchema as SettingSchema).properties!, [], 0)].join('\n') + '\n';
}

function lines(properties: Record<string, SettingSchema>, path: string[], depth: number): string[] {
  const indent = '  '.repeat(depth);
  return Object.entries(properties).flatMap(([key, schema]) => {
    const here = [...path, key];
    if (schema.properties) {
      return [`${depth === 0 ? '\n' : ''}${indent}# ${schema.description}`, `${indent}#${key}:`, ...lines(schema.properties, here, depth + 1)];
    }
    const value = stringify(schema.default, { collectionStyle: 'flow' }).trimEnd();
    return [`${indent}# ${schema.description} (${expectation(schema)}; ${environmentName(here)})`, `${indent}#${key}: ${value}`];
  });
}
