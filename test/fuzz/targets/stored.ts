import type { FuzzTarget } from '../target.js';
import { below, mutate, pick } from '../mutate.js';
import { holds, wholeDirectory } from '../damage.js';

/** Journal, snapshot and cursor files: what is read is right, what is missing is reported, or they are refused with a code. */
export const storedTarget = (mutant: { unreported?: boolean } = {}): FuzzTarget => ({
  name: 'journal and snapshot files',
  share: 3,
  async open() {
    const whole = await wholeDirectory();
    const names = [...whole.files.keys()];
    return {
      async run(random, remember) {
        const files = new Map(whole.files);
        for (let damaged = 1 + below(random, 2); damaged > 0; damaged--) {
          const name = pick(random, names);
          const before = files.get(name)!;
          const bytes = below(random, 10) === 0 ? files.get(pick(random, names))! : mutate(random, before, before.length + 4096);
          files.set(name, bytes);
        }
        remember(Object.fromEntries([...files].filter(([name, bytes]) => bytes !== whole.files.get(name)).map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')])));
        await holds(files, whole, mutant);
      },
    };
  },
});
