import { processEnvironment } from '../config/environment.js';
import { unknownNames } from '../config/load.js';
import { openCluster } from '../cluster/cluster.js';
import { openGruard } from '../gruard.js';
import { openLog } from './log.js';
import { configOf, type CommonOptions } from './options.js';
import { stopSignal } from './signals.js';

/** `gruard start`: runs until SIGINT or SIGTERM, then takes in what waits and stops. */
export async function start(options: CommonOptions): Promise<void> {
  const config = configOf(options);
  const log = openLog(config.log);
  for (const name of unknownNames(processEnvironment())) log.warn('the environment has a name that is no setting; it is ignored (`gruard config --example` lists the names)', { name });
  const gruard = await (config.mode === 'cluster' ? openCluster(config, log) : openGruard(config, log));
  log.info('ready', { page: gruard.addresses.page, api: `${gruard.addresses.page}v1`, docs: `${gruard.addresses.page}docs`, ...(gruard.addresses.mqtt !== null && { broker: gruard.addresses.mqtt }) });
  try {
    log.info('stopping', { signal: await stopSignal(gruard.failed) });
  } finally {
    await gruard.close();
  }
  log.info('stopped');
  // All is committed and closed; a client that kafkajs was still connecting would keep the process.
  if (config.mode === 'cluster') process.exit();
}
