/** The environment of this process: read nowhere but in config. */
export function processEnvironment(): Record<string, string | undefined> {
  return process.env;
}

/** Libraries that talk on stderr by themselves are told not to, unless the user has said otherwise. */
export function quietLibraries(): void {
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
}
