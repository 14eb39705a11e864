/** The environment of this process: read nowhere but in config. */
export function processEnvironment(): Record<string, string | undefined> {
  return process.env;
}
