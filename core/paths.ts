import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the installed package: the nearest folder above this file that has a package.json (from source and from dist/). */
export const packageRoot: string = (() => {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json'))) {
    const parent = dirname(dir);
    if (parent === dir) throw new Error('package.json not found above core/paths');
    dir = parent;
  }
  return dir;
})();

/** The path of a file that ships with the package, e.g. `shippedFile('model/weights/default.safetensors')`. */
export function shippedFile(path: string): string {
  return join(packageRoot, path);
}
