// Bundles the page's scripts and leaves only gzipped files in assets/.
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('.', import.meta.url));
const assets = join(root, 'assets');

// graphiql/style.css already carries Monaco's styles and icon font; without
// this they would be bundled a second time through Monaco's own imports.
const dropMonacoCss = {
  name: 'drop-monaco-css',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]monaco-editor[\\/].*\.css$/ }, () => ({ contents: '', loader: 'css' }));
  },
};

const shared = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  write: false,
  metafile: true,
  outdir: 'assets',
  target: ['chrome111', 'firefox114', 'safari16.4'],
  define: { 'process.env.NODE_ENV': '"production"' },
  // One copy of graphql: CommonJS dependencies would pull in a second one.
  alias: { graphql: join(root, 'node_modules/graphql/index.mjs') },
  logLevel: 'warning',
};

const results = await Promise.all([
  build({
    ...shared,
    entryPoints: { graphiql: 'src/main.jsx', 'sign-in': 'src/sign-in.js' },
    format: 'esm',
    jsx: 'automatic',
    // GraphiQL words its icons' accessible names from their function names.
    keepNames: true,
    plugins: [dropMonacoCss],
  }),
  build({
    ...shared,
    entryPoints: {
      'editor.worker': 'monaco-editor/esm/vs/editor/editor.worker.js',
      'json.worker': 'monaco-editor/esm/vs/language/json/json.worker.js',
      'graphql.worker': 'monaco-graphql/esm/graphql.worker.js',
    },
    format: 'iife',
  }),
]);

const thirdParty = /unpkg\.com|jsdelivr|esm\.sh|cdnjs|cloudflare|googleapis|gstatic|url\(["']?https?:/;

await mkdir(assets, { recursive: true });
for (const name of await readdir(assets)) await rm(join(assets, name));

let total = 0;
for (const { path, contents, text } of results.flatMap(result => result.outputFiles)) {
  const name = basename(path);
  const found = thirdParty.exec(text);
  if (found) throw new Error(`${name} mentions ${found[0]}; the page must stay on its own origin`);
  const packed = gzipSync(contents, { level: 9 });
  // Node writes no time or name; the last varying header byte is the OS.
  packed[9] = 255;
  await writeFile(join(assets, `${name}.gz`), packed);
  total += packed.length;
  console.log(name.padEnd(20), `${contents.length} -> ${packed.length}`);
}
console.log('total compressed'.padEnd(20), total);

if (process.env.METAFILE) {
  await writeFile(process.env.METAFILE, JSON.stringify(results.map(result => result.metafile)));
}
