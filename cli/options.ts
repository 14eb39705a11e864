import type { Command } from 'commander';
import { loadConfig } from '../config/load.js';
import { processEnvironment } from '../config/environment.js';
import type { Config } from '../config/schema.js';

export interface CommonOptions {
  config?: string;
  dataDir?: string;
}

/** The options that every command which reads the configuration has. */
export function withConfig(command: Command): Command {
  return command
    .option('-c, --config <file>', 'settings file (YAML); `gruard config --example` prints one (GRUARD_CONFIG)')
    .option('--data-dir <dir>', 'data directory (data_dir)');
}

/** The configuration in force for a command: defaults, file, environment, then its own options. */
export function configOf(options: CommonOptions, overrides: Record<string, unknown> = {}): Config {
  const environment = processEnvironment();
  return loadConfig({
    // One file for all commands of a container or unit, its health check too.
    file: options.config ?? (environment.GRUARD_CONFIG || undefined),
    environment,
    overrides: { data_dir: options.dataDir, ...overrides },
  });
}
