/** The environment of this process: read nowhere but in config. */
export function processEnvironment(): Record<string, string | undefined> {
  return process.env;
}

/** Libraries that talk on stderr by themselves are told not to, unless the user has said otherwise. */
export function quietLibraries(): void {
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2';
}

/**
 * TensorFlow runs a session's operations on the calling thread, which waits for the result anyway: handing them to a pool and
 * back costs some 0.2 ms a call. A product or a tanh is still divided among all cores. It is read when the library opens its first session.
 *
 * oneDNN's operations, which TensorFlow turns on by itself on some processors and not on others, are off: they give other bits.
 */
export function prepareTensorFlow(): void {
  process.env.TF_NUM_INTEROP_THREADS ??= '-1';
  process.env.TF_ENABLE_ONEDNN_OPTS ??= '0';
}
