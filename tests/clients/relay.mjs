// Relay 21: relay-compiler over the corpus of operations and over what only Relay writes, and its runtime with what the
// compiler made.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createClient } from 'graphql-ws';
import { buildSchema, isObjectType } from 'graphql';
import runtime from 'relay-runtime';
import WebSocket from 'ws';
import { PASSWORD, ROOT, Site, bearer } from './site.mjs';

const { Environment, Network, Observable, RecordSource, Store } = runtime;
const { commitMutation, createOperationDescriptor, fetchQuery, requestSubscription } = runtime;
const HERE = new URL('.', import.meta.url).pathname;
const SCHEMA = join(ROOT, 'schema.graphql');

/** Compiles sources (name -> text of graphql`..` tags) into a folder; answers what the compiler printed. */
async function compile(folder, sources, more = {}) {
  const place = join(HERE, 'generated', folder);
  await rm(place, { recursive: true, force: true });
  await mkdir(join(place, 'source'), { recursive: true });
  await mkdir(join(place, 'made'), { recursive: true });
  await copyFile(SCHEMA, join(place, 'schema.graphql'));
  for (const [name, text] of Object.entries(sources)) await writeFile(join(place, 'source', `${name}.js`), text);
  await writeFile(join(place, 'package.json'), '{"type": "commonjs"}');
  const config = {
    src: 'source',
    schema: 'schema.graphql',
    language: 'javascript',
    artifactDirectory: 'made',
    eagerEsModules: false,
    noSourceControl: true,
    ...more,
  };
  await writeFile(join(place, 'relay.config.json'), JSON.stringify(config));
  if (more.persistConfig) await writeFile(join(place, more.persistConfig.file), '{}');
  const compiler = join(HERE, 'node_modules/.bin/relay-compiler');
  const { status, stdout, stderr } = spawnSync(compiler, ['relay.config.json'], { cwd: place, encoding: 'utf8', timeout: 60_000 });
  assert.equal(status, 0, `${stdout}${stderr}`);
  const require = createRequire(join(place, 'made', 'index.js'));
  return { place, made: name => require(`./${name}.graphql.js`), printed: `${stdout}${stderr}` };
}

export async function corpus() {
  const sources = {};
  for (const file of await readdir(join(HERE, 'operations'))) {
    const text = await readFile(join(HERE, 'operations', file), 'utf8');
    // A tag holds one definition.
    const definitions = text.split(/\n(?=fragment )/);
    sources[file.replace('.graphql', '')] = definitions.map(definition => `graphql\`${definition}\`;`).join('\n');
  }
  return sources;
}

function relay(home, token, send = ({ text }, variables) => ({ query: text, variables })) {
  const sent = [];
  const fetcher = async (params, variables) => {
    const reply = await home.post(send(params, variables), token ? bearer(token) : {});
    sent.push(reply);
    return { data: reply.data, errors: reply.errors };
  };
  const subscriber = ({ text, name }, variables) =>
    Observable.create(sink => {
      const socket = createClient({ url: home.socket, webSocketImpl: WebSocket, connectionParams: bearer(token) });
      const stop = socket.subscribe({ operationName: name, query: text, variables }, sink);
      return () => (stop(), socket.dispose());
    });
  const environment = new Environment({ network: Network.create(fetcher, subscriber), store: new Store(new RecordSource()) });
  return { environment, sent };
}

/** What Relay warns of while `work` runs. */
async function warnings(work) {
  const heard = [];
  const loud = { error: console.error, warn: console.warn };
  console.error = console.warn = (...said) => heard.push(said.join(' '));
  try {
    await work();
  } finally {
    Object.assign(console, loud);
  }
  return heard;
}

export default async function ({ check, site }) {
  const home = await site();
  const token = (await home.signIn('student9')).accessToken;
  const sources = { ...(await corpus()), Pages: await readFile(join(HERE, 'relay/Pages.js'), 'utf8') };
  let compiled;

  await check('relay-compiler compiles the corpus', async () => {
    compiled = await compile('relay', sources);
    return `${Object.keys(sources).length} modules`;
  });
  if (!compiled) return;

  const ask = async ({ environment }, name, variables = {}) => {
    const artifact = compiled.made(name);
    const operation = createOperationDescriptor(artifact, variables);
    await fetchQuery(environment, artifact, variables).toPromise();
    return environment.lookup(operation.fragment);
  };

  const mutate = (environment, name, input) =>
    new Promise((onCompleted, onError) =>
      commitMutation(environment, { mutation: compiled.made(name), variables: { input }, onCompleted, onError }),
    );

  await check('whatever has an id can be fetched again: it is a Node (8)', async () => {
    const schema = buildSchema(await readFile(SCHEMA, 'utf8'));
    const named = Object.values(schema.getTypeMap()).filter(
      type => isObjectType(type) && String(type.getFields().id?.type) === 'ID!',
    );
    const fragments = named.map(
      ({ name }) => `graphql\`fragment Nodes_${name} on ${name} @refetchable(queryName: "Nodes${name}Query") { id }\`;`,
    );
    await compile('relay-nodes', { Nodes: fragments.join('\n') });
    return named.map(({ name }) => name).join(' ');
  });

  await check('a refused field is null, and nothing is missing (1)', async () => {
    const { environment } = relay(home, token);
    const heard = await warnings(async () => {
      const seen = await ask({ environment }, 'RefusedQuery');
      assert.equal(seen.isMissingData, false, JSON.stringify(seen.data));
      assert.equal(seen.data.jobs, null);
      assert.equal(seen.data.board, null);
      assert.equal(typeof seen.data.viewer.handle, 'string');
    });
    assert.deepEqual(heard, []);
  });

  await check('one account is one record (8)', async () => {
    const { environment } = relay(home, token);
    let id;
    const heard = await warnings(async () => {
      const input = { email: 'student9@demo.example', password: PASSWORD, client: 'NATIVE' };
      const { signIn } = await mutate(environment, 'SignInMutation', input);
      id = signIn.viewer.id;
      const seen = await ask({ environment }, 'ViewerQuery');
      assert.equal(seen.isMissingData, false);
      assert.equal(seen.data.viewer.id, id);
    });
    assert.deepEqual(heard, []);
    assert.equal(environment.getStore().getSource().get(id).__typename, 'User');
  });

  await check('fragments of two components on one object are one selection (4)', async () => {
    const { environment } = relay(home, token);
    const heard = await warnings(async () => {
      const { startAttempt } = await mutate(environment, 'StartAttemptMutation', { quizId: await home.quiz(token) });
      const { id, questions } = startAttempt.attempt;
      const [{ id: questionId, choices }] = questions;
      await mutate(environment, 'SaveAnswerMutation', { attemptId: id, questionId, choiceId: choices[0].id, seq: 1 });
      const input = { attemptId: id, idempotencyKey: 'a key of relay' };
      const { submitAttempt } = await mutate(environment, 'SubmitAttemptMutation', input);
      assert.equal(submitAttempt.attempt.state, 'SUBMITTED');
      const artifact = compiled.made('ReviewQuery');
      await fetchQuery(environment, artifact, { id }).toPromise();
      const operation = createOperationDescriptor(artifact, { id });
      const { data } = environment.lookup(operation.fragment);
      const part = name => {
        const fragment = compiled.made(name);
        const selector = runtime.getSingularSelector(fragment, data.attempt);
        return environment.lookup(selector);
      };
      for (const name of ['Review_right', 'Review_mine']) {
        const seen = part(name);
        assert.equal(seen.isMissingData, false, name);
        assert.equal(seen.data.review.questions.length, questions.length);
      }
      assert.equal(part('Review_mine').data.review.questions[0].chosen.id, choices[0].id);
    });
    assert.deepEqual(heard, []);
  });

  await check('a connection grows page by page', async () => {
    const { environment } = relay(home, token);
    const heard = await warnings(async () => {
      await fetchQuery(environment, compiled.made('PagesQuery'), { first: 2 }).toPromise();
      const records = environment.getStore().getSource();
      const connection = () => records.get('client:root:__Pages_quizzes_connection');
      const after = records.get(connection().pageInfo.__ref).endCursor;
      assert.equal(connection().edges.__refs.length, 2);
      await fetchQuery(environment, compiled.made('PagesCatalogueQuery'), { first: 2, after }).toPromise();
      assert.equal(connection().edges.__refs.length, 4);
    });
    assert.deepEqual(heard, []);
  });

  await check('every query of the corpus fills the store, and warns of nothing', async () => {
    const admin = (await home.signIn('admin')).accessToken;
    const client = relay(home, admin);
    const heard = await warnings(async () => {
      for (const [name, variables] of [
        ['ViewerQuery', {}],
        ['CatalogueQuery', { first: 5, filter: { maxMinutes: 600 } }],
        ['ItemQuery', { id: await home.quiz(admin) }],
        ['BoardQuery', { window: 'WEEK' }],
        ['DashboardQuery', { days: 30 }],
        ['StaffQuery', { first: 5 }],
        ['PagesStandingsQuery', { first: 5 }],
      ]) {
        const seen = await ask(client, name, variables);
        assert.equal(seen.isMissingData, false, name);
      }
    });
    assert.deepEqual(heard, []);
  });

  await check('a subscription fills the store', async () => {
    const { environment } = relay(home, token);
    const first = await new Promise((done, failed) => {
      const following = requestSubscription(environment, {
        subscription: compiled.made('WatchBoardSubscription'),
        variables: { board: { everything: 'WEEK' }, first: 3 },
        onNext: data => {
          done(data);
          setTimeout(() => following.dispose());
        },
        onError: failed,
      });
    });
    assert.equal(typeof first.boardChanged.totalCount, 'number');
  });

  await check('a site runs by the file of persisted operations (19)', async () => {
    const file = 'persisted.json';
    const persisted = await compile('relay-persisted', sources, { persistConfig: { file, algorithm: 'SHA256' } });
    const locked = await Site.start({ MARMALADE_OPERATIONS: join(persisted.place, file) });
    try {
      const { environment, sent } = relay(locked, undefined, ({ id }, variables) => ({ documentId: id, variables }));
      const artifact = persisted.made('CatalogueQuery');
      assert.equal(artifact.params.text, null);
      await fetchQuery(environment, artifact, { first: 2 }).toPromise();
      assert.equal(sent[0].errors, undefined, sent[0].text);
      assert.equal(sent[0].data.quizzes.edges.length, 2);
      const other = await locked.post({ query: '{ quizzes(first: 1) { totalCount } }' });
      assert.equal(other.errors[0].extensions.code, 'PERSISTED_QUERY_NOT_FOUND');
      const unknown = await locked.post({ documentId: 'f'.repeat(64), variables: {} });
      assert.equal(unknown.errors[0].extensions.code, 'PERSISTED_QUERY_NOT_FOUND');
    } finally {
      await locked.stop();
    }
  });

  await check('ids by MD5, as the compiler has them unless told otherwise, run too (19)', async () => {
    const file = 'persisted.json';
    const persisted = await compile('relay-md5', sources, { persistConfig: { file } });
    const locked = await Site.start({ MARMALADE_OPERATIONS: join(persisted.place, file) });
    try {
      const { id } = persisted.made('CatalogueQuery').params;
      assert.match(id, /^[0-9a-f]{32}$/);
      const reply = await locked.post({ documentId: id, variables: { first: 2 } });
      assert.equal(reply.data?.quizzes.edges.length, 2, reply.text);
    } finally {
      await locked.stop();
    }
  });
}
