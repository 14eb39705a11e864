import { SimulatedDevice } from './device.js';
import { KINDS } from './kinds.js';

const SITES = ['berlin', 'lyon', 'porto', 'turku', 'gdansk', 'ghent'];

/** `devices` simulated devices, of every kind by its share, spread over the sites. The same seed gives the same fleet. */
export function simulatedFleet(devices: number, startMs: number, seed: number): SimulatedDevice[] {
  const fleet: SimulatedDevice[] = [];
  let owed = 0;
  for (const kind of KINDS) {
    owed += kind.share * devices;
    for (let i = 1; fleet.length < Math.round(owed); i++) {
      const site = SITES[fleet.length % SITES.length];
      fleet.push(new SimulatedDevice(`${kind.name}-${String(i).padStart(2, '0')}`, site, kind, startMs, seed * 100_003 + fleet.length));
    }
  }
  return fleet;
}
