// Builds @tensorflow/tfjs-node's native addon where its own download does not work (linux-x64). The package itself stays as npm
// unpacked it; what is built goes to its deps/ and lib/ folders.
//   npm run build:tensorflow             build it if it does not load
//   npm run build:tensorflow -- --force  build it again
// Needs: mvn (a Java build tool), unzip, g++, make, python3, and the headers of the Node that runs this (its own
// include/node, or NODEDIR). libtensorflow comes from Maven Central: org.tensorflow:tensorflow-core-api:0.5.0:linux-x86_64
// is TensorFlow 2.10.1 without Python. The artifact also covers macosx-x86_64 and windows-x86_64, whose layout is another
// and not handled here; there is none for linux-arm64. Everywhere else gruard runs on its WASM kernel.
import { execFileSync, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ARTIFACT = 'org.tensorflow:tensorflow-core-api:0.5.0:jar:linux-x86_64';
const DEPENDENCY_PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy';
const scripts = dirname(fileURLToPath(import.meta.url));
const root = join(scripts, '..');
const addon = join(root, 'node_modules', '@tensorflow', 'tfjs-node');

// Checks a product and a string op: strings cross the addon in a layout of their own.
const CHECK = `
const util = require('node:util');
util.isNullOrUndefined ??= (x) => x == null;
util.isArray ??= Array.isArray;
const tf = require('@tensorflow/tfjs-node');
const strings = ['short', 'a string longer than 22 bytes, on the heap'];
const encoding = [{ name: 'encoding', type: tf.backend().binding.TF_ATTR_STRING, value: '' }];
const upper = tf.backend().executeSingleOutput('StringUpper', encoding, [tf.tensor(strings)]).arraySync();
if (tf.matMul(tf.ones([2, 3]), tf.ones([3, 2])).arraySync()[0][0] !== 3) throw new Error('matMul gives a wrong product');
if (upper.some((s, i) => s !== strings[i].toUpperCase())) throw new Error('strings are damaged: ' + upper);
console.log('libtensorflow ' + tf.backend().binding.TF_Version + ' on node ' + process.version);
`;

function fail(message: string): never {
  console.error(`build:tensorflow: ${message}`);
  process.exit(1);
}

function check(): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, ['-e', CHECK], { cwd: root, encoding: 'utf8', env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '2' } });
}

function nodeHeaders(): string {
  const places = [process.env.NODEDIR, join(dirname(process.execPath), '..')].filter((place) => place !== undefined);
  const found = places.find((place) => existsSync(join(place, 'include', 'node', 'node_api.h')));
  if (!found) fail(`no Node headers in ${places.join(' or ')}: set NODEDIR to a folder that has include/node/node_api.h`);
  return found;
}

/** npm takes an optional package away again when its install script fails: brings it back without running the script. */
function unpack(): void {
  console.log('build:tensorflow: unpacking @tensorflow/tfjs-node');
  const npm = spawnSync('npm', ['install', '--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '@tensorflow/tfjs-node@4.22.0'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  if (npm.status !== 0 || !existsSync(addon)) fail('@tensorflow/tfjs-node could not be unpacked');
}

function requirePlatform(): void {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    fail(`builds on linux-x64 only, and this is ${process.platform}-${process.arch}; gruard runs on its WASM kernel without it`);
  }
  if (!existsSync(addon)) unpack();
  const needs: Record<string, string> = { mvn: 'maven', unzip: 'unzip', 'g++': 'g++', make: 'make', python3: 'python3' };
  const missing = Object.keys(needs).filter((tool) => spawnSync(tool, ['--version']).error);
  if (missing.length > 0) {
    fail(`${missing.join(', ')} not found (Debian: apt-get install ${missing.map((tool) => needs[tool]).join(' ')})`);
  }
}

function fetchLibrary(lib: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'gruard-tensorflow-'));
  try {
    execFileSync('mvn', ['-q', '-B', DEPENDENCY_PLUGIN, `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${folder}`], { stdio: 'inherit' });
    const jar = join(folder, readdirSync(folder).find((file) => file.endsWith('.jar')) ?? fail('Maven left no jar'));
    execFileSync('unzip', ['-q', '-j', '-o', jar, '*/libtensorflow_cc.so.2', '*/libtensorflow_framework.so.2', '-d', lib], { stdio: 'inherit' });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  for (const file of readdirSync(lib)) chmodSync(join(lib, file), 0o755);
  // The names that binding.gyp links, and that the package's own installer looks for.
  for (const ending of ['so', 'so.2.9.1']) {
    symlinkSync('libtensorflow_cc.so.2', join(lib, `libtensorflow.${ending}`));
    symlinkSync('libtensorflow_framework.so.2', join(lib, `libtensorflow_framework.${ending}`));
  }
}

function writeHeaders(include: string): void {
  mkdirSync(join(include, 'tensorflow', 'c', 'eager'), { recursive: true });
  mkdirSync(join(include, 'tensorflow', 'core', 'platform'), { recursive: true });
  // The artifact has no C headers: the declarations that the addon uses are written out in one file.
  copyFileSync(join(scripts, 'tensorflow-c-api.h'), join(include, 'tensorflow', 'c', 'c_api.h'));
  for (const file of ['c/eager/c_api.h', 'c/tf_datatype.h', 'c/tf_status.h', 'c/tf_tensor.h', 'core/platform/ctstring_internal.h']) {
    writeFileSync(join(include, 'tensorflow', file), '#include "tensorflow/c/c_api.h"\n');
  }
}

function compile(headers: string): void {
  const result = spawnSync('node-pre-gyp', ['install', '--build-from-source', `--nodedir=${headers}`], {
    cwd: addon, encoding: 'utf8', env: { ...process.env, PATH: join(root, 'node_modules', '.bin') + delimiter + (process.env.PATH ?? '') },
  });
  if (result.status !== 0) {
    const log = `${result.stdout ?? ''}${result.stderr ?? ''}`.split('\n').slice(-30).join('\n');
    fail(`the addon does not compile:\n${log}${result.error?.message ?? ''}`);
  }
  rmSync(join(addon, 'build'), { recursive: true, force: true });
}

const before = check();
if (before.status === 0 && !process.argv.includes('--force')) {
  console.error(`build:tensorflow: it loads already: ${before.stdout.trim()}`);
  process.exit(0);
}
requirePlatform();
const headers = nodeHeaders();
const deps = join(addon, 'deps');
rmSync(deps, { recursive: true, force: true });
mkdirSync(join(deps, 'lib'), { recursive: true });
console.error('build:tensorflow: fetching libtensorflow (some 100 MB) from Maven');
fetchLibrary(join(deps, 'lib'));
writeHeaders(join(deps, 'include'));
console.error('build:tensorflow: compiling the addon');
compile(headers);
const after = check();
if (after.status !== 0) fail(`it was built and does not work:\n${after.stderr}`);
console.error(`build:tensorflow: done: ${after.stdout.trim()}`);
