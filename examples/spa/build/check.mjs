// Proves that what is committed is what the sources give: builds anew, and compares every byte.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const committed = fileURLToPath(new URL('../dist', import.meta.url));
const fresh = await mkdtemp(join(tmpdir(), 'marmalade-built-'));
try {
  const build = spawnSync(process.execPath, [fileURLToPath(new URL('build.mjs', import.meta.url)), fresh], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (build.status !== 0) throw new Error('the build failed');
  const files = async folder =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name).slice(folder.length + 1))
      .sort();
  const [old, now] = [await files(committed), await files(fresh)];
  const differing = [];
  for (const name of new Set([...old, ...now])) {
    const same = old.includes(name) && now.includes(name) && (await readFile(join(committed, name))).equals(await readFile(join(fresh, name)));
    if (!same) differing.push(name);
  }
  if (differing.length > 0) {
    console.error(`dist/ is not what the sources give; run \`npm run build\` and commit it:\n  ${differing.join('\n  ')}`);
    process.exitCode = 1;
  } else console.log(`dist/ is what the sources give: ${now.length} files`);
} finally {
  await rm(fresh, { recursive: true, force: true });
}
