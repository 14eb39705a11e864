import { Command, CommanderError } from 'commander';
import { GruardError, messageOf } from '../core/errors.js';
import { VERSION } from '../core/version.js';
import { quietLibraries } from '../config/environment.js';
import type { BacktestOptions } from './backtest.js';
import type { BridgeOptions } from './bridge.js';
import type { ConfigOptions } from './config.js';
import type { BrokerUserOptions } from './broker-user.js';
import type { DeadLetterOptions } from './deadletter.js';
import type { DemoOptions } from './demo.js';
import type { DoctorOptions } from './doctor/doctor.js';
import type { HealthOptions } from './health.js';
import type { KafkaSetupOptions } from './kafka.js';
import type { JournalOptions } from './journal.js';
import { withConfig, type CommonOptions } from './options.js';
import type { ReplayOptions } from './replay.js';
import type { ExportOptions, StoreOptions } from './store.js';
import type { TokenOptions } from './token.js';
import { trainCommand } from './train.js';

const FOR_OTHERS = new Set(['export', 'backtest', 'train']);

/** Each command's code is loaded when it is run: `gruard --help` starts none of the engine. */
function program(): Command {
  const gruard = new Command('gruard')
    .description('Streaming anomaly detection for IoT fleets.')
    .version(VERSION)
    .exitOverride()
    .hook('preAction', (_program, command) => {
      // What a command leaves behind (readings, state, users) is for its owner alone, also what DuckDB writes; the exceptions write a file that somebody asked for.
      if (!FOR_OTHERS.has(command.name())) process.umask(0o077);
    })
    .showHelpAfterError('(add --help for what can be given)');

  withConfig(gruard.command('start').description('run the server: sources, detector, API and page'))
    .action(async (options: CommonOptions) => (await import('./start.js')).start(options));
  gruard.command('demo').description('run with a simulated fleet whose faults you can watch being caught')
    .option('-c, --config <file>', 'settings file (YAML), for TLS, tokens, the detector, store and alerts; what it reads is the simulated fleet alone (GRUARD_CONFIG)')
    .option('--api-port <port>', 'port of API and page', Number)
    .option('--broker-port <port>', 'port of the embedded MQTT broker', Number)
    .option('--data-dir <dir>', 'data directory (default: a temporary one, removed at the end)')
    .option('--devices <n>', 'simulated devices', Number, 300)
    .option('--speed <factor>', 'how much faster than life the fleet runs once it has caught up', Number, 60)
    .option('--seed <n>', 'seed of the fleet and its faults', Number, 1)
    .option('--for <seconds>', 'stop by itself after this time', Number)
    .action(async (options: DemoOptions) => (await import('./demo.js')).demo(options));
  gruard.command('replay').description('publish a CSV file to an MQTT broker, in time').argument('<file>', 'CSV with a timestamp column')
    .option('--to <url>', 'broker', 'mqtt://127.0.0.1:1883')
    .option('--speed <factor>', 'how much faster than life; 0: as fast as the broker takes it', Number, 1)
    .option('--topic-prefix <prefix>', 'topic is PREFIX/DEVICE', 'replay')
    .option('--username <user>', 'user; the password is read from GRUARD_MQTT_PASSWORD or GRUARD_MQTT_PASSWORD_FILE')
    .option('--json', 'print the summary as JSON')
    .action(async (file: string, options: ReplayOptions) => (await import('./replay.js')).replay(file, options));
  withConfig(gruard.command('backtest').description('run a CSV file through the detector, as if it had arrived reading by reading').argument('<file>', 'CSV with a timestamp column'))
    .requiredOption('-o, --out <file>', 'scores (CSV)')
    .option('--json', 'print the summary as JSON')
    .action(async (file: string, options: BacktestOptions) => (await import('./backtest.js')).backtest(file, options));
  withConfig(gruard.command('config').description('print the settings in force (secrets masked)'))
    .option('--print', 'print the settings in force (this is what the command does anyway)')
    .option('--example', 'print the commented example file')
    .option('--json', 'print JSON')
    .action(async (options: ConfigOptions) => (await import('./config.js')).config(options));
  const deadLetters = gruard.command('deadletter').description('what was refused');
  withConfig(deadLetters.command('list').description('the newest refused messages, with the reason (asks the running server)'))
    .option('-n, --limit <n>', 'at the most', Number, 20)
    .option('--json', 'print JSON lines')
    .action(async (options: DeadLetterOptions) => (await import('./deadletter.js')).listDeadLetters(options));
  const alert = gruard.command('alert').description('alert sinks');
  withConfig(alert.command('test').description('send a test notification to every sink of the settings').argument('[sink]', 'only this one'))
    .action(async (sink: string | undefined, options: CommonOptions) => (await import('./alert.js')).testAlerts(sink, options));
  withConfig(gruard.command('bridge').description('carry MQTT messages into a Kafka topic, keyed by device; MQTT is acknowledged once Kafka has them'))
    .option('--to <topic>', 'topic (default: the first of kafka.topics)')
    .action(async (options: BridgeOptions) => (await import('./bridge.js')).bridge(options));
  const kafka = gruard.command('kafka').description('topics of the settings');
  withConfig(kafka.command('setup').description('create the topics that are missing; what is there is compared and left'))
    .option('--partitions <n>', 'partitions of input, results and events', Number, 12)
    .option('--replication <n>', 'replicas (default: 3, or as many as there are brokers)', Number)
    .option('--retention-days <n>', 'how long messages are kept', Number, 7)
    .option('--grow', 'add partitions to topics that have fewer')
    .option('--json', 'print JSON')
    .action(async (options: KafkaSetupOptions) => (await import('./kafka.js')).setupKafka(options));
  const journal = gruard.command('journal').description('the durable record of every reading');
  withConfig(journal.command('info').description('its segments')).option('--json', 'print JSON')
    .action(async (options: JournalOptions) => (await import('./journal.js')).journalInfo(options));
  withConfig(journal.command('verify').description('check every sum and that nothing is missing')).option('--json', 'print JSON')
    .action(async (options: JournalOptions) => (await import('./journal.js')).journalVerify(options));
  withConfig(journal.command('dump').description('a line of JSON a record'))
    .option('--from <sequence>', 'first record', Number).option('--limit <n>', 'records at the most', Number)
    .action(async (options: JournalOptions) => (await import('./journal.js')).journalDump(options));
  withConfig(gruard.command('backup').description('copy journal and state to a folder; gruard may be running').argument('<folder>', 'an empty folder'))
    .action(async (folder: string, options: CommonOptions) => (await import('./backup.js')).backup(folder, options));
  withConfig(gruard.command('restore').description('bring back a backup into an empty data directory').argument('<folder>', 'a backup'))
    .action(async (folder: string, options: CommonOptions) => (await import('./backup.js')).restore(folder, options));
  const store = gruard.command('store').description('the result store');
  withConfig(store.command('migrate').description('copy the embedded store to the InfluxDB of the settings; gruard must not be running'))
    .option('--json', 'print the summary as JSON')
    .action(async (options: StoreOptions) => (await import('./store.js')).migrateStore(options));
  withConfig(gruard.command('export').description('write stored results to a file; asks the running server for what it holds'))
    .requiredOption('-o, --out <file>', 'file to write')
    .option('--force', 'overwrite the file where it is there already')
    .option('--format <format>', 'csv or parquet', 'csv')
    .option('--device <device>', 'only this device')
    .option('--metric <metric>', 'only this metric')
    .option('--start <time>', 'RFC 3339, inclusive')
    .option('--end <time>', 'RFC 3339, exclusive')
    .action(async (options: ExportOptions) => (await import('./store.js')).exportStore(options));
  const token = gruard.command('token').description('tokens of the API; a running gruard heeds a change within a second or two');
  withConfig(token.command('create').description('make a token and print it, this once').argument('<name>', 'whose it is'))
    .option('--scope <scopes>', 'read, write, admin; several with commas', 'read')
    .option('--json', 'print JSON')
    .action(async (name: string, options: TokenOptions) => (await import('./token.js')).newToken(name, options));
  withConfig(token.command('list').description('names, scopes and age'))
    .option('--json', 'print JSON lines')
    .action(async (options: TokenOptions) => (await import('./token.js')).listTokens(options));
  withConfig(token.command('revoke').description('refuse a token from now on').argument('<name>', 'as it was created'))
    .action(async (name: string, options: TokenOptions) => (await import('./token.js')).dropToken(name, options));
  const user = gruard.command('broker-user').description('users of the embedded broker (broker.users_file)');
  const several = (value: string, before: string[]): string[] => [...before, value];
  withConfig(user.command('add').description('add a user, or replace one, and print its password, this once').argument('<name>', 'the device, or the gateway'))
    .option('--publish <filter>', 'topics it may publish to, may be repeated; %u is its name (default: %u/#)', several, [])
    .option('--subscribe <filter>', 'topics it may subscribe to, may be repeated (default: none)', several, [])
    .option('--gateway', 'it sends for many devices, which topic or payload name; else all it sends is of the device called like it')
    .option('--password-file <file>', 'take the password from a file instead of making one')
    .action(async (name: string, options: BrokerUserOptions) => (await import('./broker-user.js')).addUser(name, options));
  withConfig(user.command('remove').description('remove a user and cut its connections').argument('<name>', 'the user'))
    .action(async (name: string, options: CommonOptions) => (await import('./broker-user.js')).removeUser(name, options));
  withConfig(user.command('list').description('users and their topics'))
    .action(async (options: CommonOptions) => (await import('./broker-user.js')).listUsers(options));
  const model = gruard.command('model').description('weights of the predictor');
  model.command('list').description('the weights files in a folder').argument('[folder]', 'default: the shipped ones')
    .option('--json', 'print JSON').action(async (folder: string | undefined, options: { json?: boolean }) => (await import('./model.js')).listModels(folder, options));
  withConfig(model.command('use').description('use these weights from the next start on').argument('<file>', 'weights (safetensors)'))
    .action(async (file: string, options: CommonOptions) => (await import('./model.js')).useModel(file, options));
  withConfig(model.command('export').description('write the weights in force to a file').argument('<file>', 'file to write'))
    .option('--force', 'overwrite the file where it is there already')
    .action(async (file: string, options: CommonOptions & { force?: boolean }) => (await import('./model.js')).exportModel(file, options));
  model.command('show').description('what a weights file says of itself').argument('[file]', 'default: the shipped one')
    .option('--json', 'print JSON').action(async (file: string | undefined, options: { json?: boolean }) => (await import('./model.js')).showModel(file, options));
  withConfig(gruard.command('health').description('ask the running server whether it does its work; exit 1 where it does not'))
    .option('--json', 'print JSON')
    .action(async (options: HealthOptions) => (await import('./health.js')).health(options));
  withConfig(gruard.command('doctor').description('check this installation and every connection that the settings name'))
    .option('--json', 'print JSON')
    .action(async (options: DoctorOptions) => (await import('./doctor/doctor.js')).doctor(options));
  gruard.addCommand(trainCommand());
  return gruard;
}

async function main(): Promise<void> {
  quietLibraries();
  // `gruard doctor | head`: whoever read has had enough, which is no fault of ours; a server goes on without its output.
  process.stdout.on('error', (thrown: NodeJS.ErrnoException) => { if (thrown.code !== 'EPIPE') throw thrown; });
  try {
    await program().parseAsync();
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      process.exitCode = thrown.exitCode === 0 ? 0 : 2;
      return;
    }
    if (thrown instanceof GruardError) {
      process.stderr.write(`gruard: ${thrown.message}\n  ${thrown.next} [${thrown.code}]\n`);
      process.exitCode = thrown.code === 'USAGE' ? 2 : 1;
      return;
    }
    process.stderr.write(`gruard: ${messageOf(thrown)}\n${thrown instanceof Error ? thrown.stack ?? '' : ''}\n`);
    process.exitCode = 1;
  }
}

await main();
