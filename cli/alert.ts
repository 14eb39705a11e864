import { openSink } from '../alert/open.js';
import { testNotification } from '../alert/notification.js';
import { readSinks } from '../alert/settings.js';
import { systemClock } from '../core/clock.js';
import { GruardError, messageOf } from '../core/errors.js';
import { configOf, type CommonOptions } from './options.js';

/** `gruard alert test [SINK]`: exit 1 where one does not take it. */
export async function testAlerts(only: string | undefined, options: CommonOptions): Promise<void> {
  const sinks = readSinks(configOf(options).alerts.sinks).filter(({ name }) => only === undefined || name === only);
  if (sinks.length === 0) throw new GruardError('CONFIG_INVALID', only === undefined ? 'alerts.sinks: there is none yet, so there is nothing to test (docs/alerts.md has one to copy for each kind)' : `alerts.sinks: there is none called ${JSON.stringify(only)}`);
  for (const settings of sinks) {
    const sink = openSink(settings, (message, fields) => process.stdout.write(`${message} ${JSON.stringify(fields)}\n`));
    try {
      await sink.deliver(testNotification(systemClock.nowMs()));
      process.stdout.write(`${settings.name} (${settings.kind}): taken\n`);
    } catch (thrown) {
      process.stdout.write(`${settings.name} (${settings.kind}): ${messageOf(thrown)}\n`);
      process.exitCode = 1;
    } finally {
      await sink.close();
    }
  }
}
