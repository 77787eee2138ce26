// @graphql-eslint reads schema.graphql as Relay wants it: rules of connections, edges, pages and arguments.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import graphqlESLint from '@graphql-eslint/eslint-plugin';
import { Linter } from 'eslint';
import { ROOT } from './site.mjs';

const RULES = ['relay-arguments', 'relay-connection-types', 'relay-edge-types', 'relay-page-info'];

function lint(schema, rules) {
  const config = {
    files: ['**/*.graphql'],
    plugins: { '@graphql-eslint': { rules: graphqlESLint.rules } },
    languageOptions: { parser: graphqlESLint.parser, parserOptions: { graphQLConfig: { schema } } },
    rules,
  };
  const found = new Linter({ configType: 'flat' }).verify(schema, [config], { filename: 'schema.graphql' });
  return found.map(({ line, message, ruleId }) => `line ${line}: ${message} (${ruleId})`);
}

export default async function ({ check }) {
  const schema = await readFile(join(ROOT, 'schema.graphql'), 'utf8');
  const rules = Object.fromEntries(RULES.map(rule => [`@graphql-eslint/${rule}`, 'error']));
  // What is no connection may be a list all the same: the errors of a payload. And what has no id of its own, such as a
  // standing, is no Node; that whatever has one is a Node is tried by relay.mjs.
  const options = { listTypeCanWrapOnlyEdgeType: false, shouldImplementNode: false };
  rules['@graphql-eslint/relay-edge-types'] = ['error', options];

  await check('the rules of Relay find nothing', async () => {
    assert.deepEqual(lint(schema, rules), []);
    return RULES.join(', ');
  });

  await check('the rules find what is planted', async () => {
    const planted = `${schema}
      type Shelf { books: BookConnection }
      type BookConnection { edges: BookEdge pageInfo: PageInfo }
      type BookEdge { cursor: Int node: [Chapter] }`;
    const seen = new Set(lint(planted, rules).map(text => text.match(/\(@graphql-eslint\/([a-z-]+)\)/)?.[1]));
    for (const rule of ['relay-arguments', 'relay-connection-types', 'relay-edge-types']) assert.ok(seen.has(rule), rule);
    const pages = schema.replace('hasNextPage: Boolean!', 'hasNextPage: Boolean');
    assert.match(lint(pages, rules).join('\n'), /relay-page-info/);
  });
}
