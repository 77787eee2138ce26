// Builds dist/, which is committed and embedded in the server: the app's files, each packed by Brotli and gzip too, and
// the landing as a page that is complete without a script. The same sources give the same bytes.
//
//   node build/build.mjs [FOLDER]
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { generate, loadContext } from '@graphql-codegen/cli';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = process.argv[2] ?? join(root, 'dist');
const work = join(root, '.build');
process.chdir(root);
// The build is the same whatever the shell says.
process.env.NODE_ENV = 'production';

const context = await loadContext('codegen.ts');
await generate({ ...context.getConfig(), silent: true }, true);
await rm(work, { recursive: true, force: true });
await build({ root, logLevel: 'warn' });
await build({
  root,
  logLevel: 'warn',
  build: { ssr: 'src/prerender.tsx', outDir: '.build/server', rollupOptions: { output: { entryFileNames: 'prerender.mjs' } } },
});

// What the landing reads of a browser while it is drawn.
globalThis.location ??= new URL('http://localhost/');
const { landing } = await import(pathToFileURL(join(work, 'server/prerender.mjs')).href);
// The page is there before its script: the style goes first over a narrow connection.
const shell = (await readFile(join(work, 'client/index.html'), 'utf8')).replace('<script type="module"', '<script fetchpriority="low" type="module"');

await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, 'assets'), { recursive: true });
await cp(join(work, 'client/assets'), join(dist, 'assets'), { recursive: true });
await writeFile(join(dist, 'index.html'), shell.replace('<!--page-->', landing()));
await writeFile(join(dist, 'shell.html'), shell.replace('<!--page-->', ''));
await cp('src/routes.json', join(dist, 'routes.json'));

const packed = ['index.html', 'shell.html', ...(await readdir(join(dist, 'assets'))).map(name => `assets/${name}`)].sort();
for (const name of packed) {
  const bytes = await readFile(join(dist, name));
  await writeFile(join(dist, `${name}.gz`), gzipSync(bytes, { level: 9 }));
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  const small = brotliCompressSync(bytes, { params });
  await writeFile(join(dist, `${name}.br`), small);
  console.log(`${name.padEnd(44)} ${String(bytes.length).padStart(8)} ${String(small.length).padStart(8)} br`);
}
