import { cp, mkdir, mkdtemp, readdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** A new folder with the built service and all packages but one, as where that is not installed. */
export async function folderWithout(missing: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'nestjs-feed-without-'));
  await cp('dist', join(folder, 'dist'), { recursive: true });
  await cp('package.json', join(folder, 'package.json'));
  const scope = dirname(missing);
  await mkdir(join(folder, 'node_modules', scope), { recursive: true });
  for (const inside of new Set(['.', scope])) {
    for (const name of await readdir(join('node_modules', inside))) {
      const path = join('node_modules', inside, name);
      if (![scope, missing].includes(join(inside, name))) await symlink(resolve(path), join(folder, path));
    }
  }
  return folder;
}
