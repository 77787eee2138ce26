// graphql-codegen's client preset and gql.tada: what they make of the schema is compiled by `tsc --strict`, with the map of
// scalars that the project ships, and a site runs by the preset's file of persisted operations.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generate } from '@graphql-codegen/cli';
import { buildSchema, isScalarType, isSpecifiedScalarType } from 'graphql';
import { ROOT, Site } from './site.mjs';

const HERE = new URL('.', import.meta.url).pathname;
const SCHEMA = join(ROOT, 'schema.graphql');
/** What the project ships for generators: language -> scalar -> type. */
const SCALARS = join(ROOT, 'docs/clients/scalars.json');

const run = (program, ...given) => {
  const path = join(HERE, 'node_modules/.bin', program);
  const { status, stdout, stderr } = spawnSync(path, given, { cwd: HERE, encoding: 'utf8', timeout: 60_000 });
  assert.equal(status, 0, `${stdout}${stderr}`);
};

async function codegen(folder, preset = {}) {
  const scalars = JSON.parse(await readFile(SCALARS, 'utf8')).typescript;
  const place = `${join(HERE, 'generated', folder)}/`;
  await rm(place, { recursive: true, force: true });
  await generate({
    schema: SCHEMA,
    documents: join(HERE, 'operations/*.graphql'),
    silent: true,
    errorsOnly: true,
    generates: {
      [place]: {
        preset: 'client',
        presetConfig: preset,
        config: { scalars, strictScalars: true, dedupeOperationSuffix: true, useTypeImports: true },
      },
    },
  });
  return place;
}

export default async function ({ check }) {
  const schema = buildSchema(await readFile(SCHEMA, 'utf8'));
  const scalars = Object.values(schema.getTypeMap()).filter(type => isScalarType(type) && !isSpecifiedScalarType(type));

  await check('the map of scalars has each of ours, in each language (11)', async () => {
    const map = JSON.parse(await readFile(SCALARS, 'utf8'));
    const names = scalars.map(({ name }) => name).sort();
    for (const language of ['typescript', 'kotlin', 'swift']) assert.deepEqual(Object.keys(map[language]).sort(), names, language);
    return names.join(' ');
  });

  await check('each scalar of ours says by what it is specified (11)', async () => {
    const silent = scalars.filter(({ specifiedByURL }) => !specifiedByURL).map(({ name }) => name);
    assert.deepEqual(silent, []);
  });

  await check('the client preset and gql.tada pass tsc --strict (11)', async () => {
    await codegen('codegen');
    const { typescript } = JSON.parse(await readFile(SCALARS, 'utf8'));
    const tada = join(HERE, 'generated/tada');
    await mkdir(tada, { recursive: true });
    const types = Object.entries(typescript).map(([name, type]) => `  ${name}: ${type};\n`);
    await writeFile(join(tada, 'scalars.d.ts'), `export type Scalars = {\n${types.join('')}};\n`);
    run('gql.tada', 'generate-output', '--tsconfig', 'typed/tsconfig.json', '--disable-preprocessing');
    run('tsc', '--project', 'typed/tsconfig.json');
  });

  for (const hashAlgorithm of ['sha1', 'sha256']) {
    await check(`a site runs by the preset's file of operations, hashed by ${hashAlgorithm} (19)`, async () => {
      const place = await codegen(`persisted-${hashAlgorithm}`, { persistedDocuments: { hashAlgorithm } });
      const file = join(place, 'persisted-documents.json');
      const documents = Object.entries(JSON.parse(await readFile(file, 'utf8')));
      const [id] = documents.find(([, text]) => text.includes('query CatalogueQuery'));
      const locked = await Site.start({ MARMALADE_OPERATIONS: file });
      try {
        for (const request of [
          { documentId: id },
          ...(hashAlgorithm === 'sha256' ? [{ extensions: { persistedQuery: { version: 1, sha256Hash: id } } }] : []),
        ]) {
          const reply = await locked.post({ ...request, variables: { first: 2 } });
          assert.equal(reply.data?.quizzes.edges.length, 2, reply.text);
        }
        const other = await locked.post({ query: '{ quizzes(first: 1) { totalCount } }' });
        assert.equal(other.errors[0].extensions.code, 'PERSISTED_QUERY_NOT_FOUND');
      } finally {
        await locked.stop();
      }
      return `${documents.length} operations`;
    });
  }
}
