import { describe, expect, it } from 'vitest';
import { Batch } from '../core/batch.js';
import { Fleet } from '../core/fleet.js';
import { shippedFile } from '../core/paths.js';
import { gaussian, seededRandom } from '../core/random.js';
import { openDetector, type DetectorOptions } from './detector.js';
import { initialise } from './network.js';
import { readWeights } from './weights.js';

const DEVICES = ['pump-1', 'oven-1', 'pump-2', 'oven-2'];
const READINGS = 200;

/** The forecasts of each device's readings, which arrive together in batches. */
async function forecasts(options: DetectorOptions): Promise<Map<string, number[]>> {
  const fleet = new Fleet();
  const detector = await openDetector(fleet, options);
  const random = seededRandom(4);
  const found = new Map(DEVICES.map((name) => [name, [] as number[]]));
  for (let i = 0; i < READINGS; i++) {
    const batch = new Batch(16);
    for (const name of DEVICES) {
      const known = fleet.get(name);
      const device = known ?? fleet.addDevice(name, {}, i).device;
      const slot = known ? known.slots[0] : fleet.addSeries(device, 't').slot;
      batch.push(fleet.idOfSlot(slot), slot, 1_700_000_000_000 + i * 60_000, 20 + Math.sin(i / 9) + 0.1 * gaussian(random), 0);
    }
    detector.step(batch);
    for (let row = 0; row < batch.n; row++) found.get(fleet.nameOf(batch.seriesId[row])!.device)!.push(batch.yhat[row]);
  }
  return found;
}

describe('several models in one fleet', () => {
  it('steps each device by the network of its pattern and on that one\'s backend, as if the others were not there', async () => {
    const shipped = await readWeights(shippedFile('model/weights/default.safetensors'));
    const other = { ...initialise({ ...shipped.config, layers: [{ cell: 'lstm', units: 16 }] }, 3), metadata: shipped.metadata };
    const both = await forecasts({ models: [{ devices: 'oven-*', network: other }] });
    const main = await forecasts({});
    const alone = await forecasts({ network: other });
    for (const name of DEVICES) expect(both.get(name), name).toEqual((name.startsWith('oven') ? alone : main).get(name));
    expect(main.get('oven-1')).not.toEqual(alone.get('oven-1'));
    const onOther = await forecasts({ models: [{ devices: 'oven-*', network: other, backend: 'js' }] });
    const onOtherAlone = await forecasts({ network: other, backend: 'js' });
    for (const name of DEVICES) expect(onOther.get(name), name).toEqual((name.startsWith('oven') ? onOtherAlone : main).get(name));
    expect(onOtherAlone.get('oven-1')).not.toEqual(alone.get('oven-1'));
  });
});
