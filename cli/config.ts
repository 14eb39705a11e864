import { stringify } from 'yaml';
import { exampleYaml } from '../config/example.js';
import { printable } from '../config/printable.js';
import { configOf, type CommonOptions } from './options.js';

export interface ConfigOptions extends CommonOptions {
  example?: boolean;
  json?: boolean;
}

/** `gruard config`: what is in force (secrets masked), or the commented example file. */
export function config(options: ConfigOptions): void {
  if (options.example) {
    process.stdout.write(exampleYaml());
    return;
  }
  const settings = printable(configOf(options));
  process.stdout.write(options.json ? `${JSON.stringify(settings)}\n` : stringify(settings));
}
