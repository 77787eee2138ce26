// urql with graphcache (normalised, aware of the schema), authExchange and persisted operations.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { Client, cacheExchange as documentCache, fetchExchange, gql, subscriptionExchange } from '@urql/core';
import { authExchange } from '@urql/exchange-auth';
import { cacheExchange } from '@urql/exchange-graphcache';
import { persistedExchange } from '@urql/exchange-persisted';
import { buildSchema, introspectionFromSchema } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { PASSWORD, ROOT, bearer, expired } from './site.mjs';

const SIGN_IN = gql`mutation SignIn($input: SignInInput!) {
  signIn(input: $input) { viewer { id handle role } tokens { accessToken refreshToken } errors { code } }
}`;
// authExchange sends it past the cache, which adds no names of types then and misses them in the answer.
const REFRESH = gql`mutation Refresh($input: RefreshSessionInput!) {
  refreshSession(input: $input) { __typename tokens { __typename accessToken refreshToken } errors { __typename code } }
}`;

export default async function ({ check, site }) {
  const home = await site();
  const tokens = await home.signIn('student7');
  const schema = introspectionFromSchema(buildSchema(await readFile(`${ROOT}schema.graphql`, 'utf8')));
  /** Objects without an `id` are parts of their parents. */
  const embedded = schema.__schema.types.filter(({ fields }) => fields && !fields.some(({ name }) => name === 'id'));
  const keys = Object.fromEntries(embedded.map(({ name }) => [name, () => null]));

  function urql({ exchanges, token, ...options }) {
    const sent = [];
    const client = new Client({
      url: home.url,
      exchanges,
      fetchOptions: { headers: token ? bearer(token) : {} },
      fetch: async (url, request) => {
        const reply = await fetch(url, request);
        sent.push({ url: String(url), method: request.method, headers: request.headers, status: reply.status });
        return reply;
      },
      ...options,
    });
    return { client, sent };
  }

  await check('graphcache keeps what was read beside a refused field (1)', async () => {
    const { client, sent } = urql({ token: tokens.accessToken, exchanges: [cacheExchange({ schema, keys }), fetchExchange] });
    const query = gql`{ jobs(first: 1) { totalCount } viewer { id handle } }`;
    const first = await client.query(query, {}).toPromise();
    assert.equal(first.error.graphQLErrors[0].extensions.code, 'FORBIDDEN');
    assert.equal(first.data.jobs, null);
    assert.deepEqual(Object.keys(first.data).filter(key => key !== '__typename'), ['jobs', 'viewer']);
    const again = await client.query(gql`{ viewer { id handle } }`, {}).toPromise();
    assert.equal(again.data.viewer.handle, first.data.viewer.handle);
    assert.equal(sent.length, 1, 'what was read is read from the cache');
  });

  await check('graphcache has one account after signing in (8)', async () => {
    const found = {};
    const updates = {
      Mutation: {
        signIn({ signIn }, _, cache) {
          found.key = cache.keyOfEntity(signIn.viewer);
          found.user = cache.readFragment(gql`fragment Known on User { id handle }`, { id: signIn.viewer.id });
        },
      },
    };
    const { client } = urql({ exchanges: [cacheExchange({ schema, keys, updates }), fetchExchange] });
    const input = { email: 'student7@demo.example', password: PASSWORD, client: 'NATIVE' };
    const { data, error } = await client.mutation(SIGN_IN, { input }).toPromise();
    assert.equal(error, undefined);
    assert.equal(found.key, `User:${data.signIn.viewer.id}`);
    assert.equal(found.user?.handle, data.signIn.viewer.handle);
  });

  await check('the catalogue is read without an account, by GET with a header that no link has', async () => {
    const fetchOptions = { headers: { 'apollo-require-preflight': 'true' } };
    const { client, sent } = urql({ exchanges: [documentCache, fetchExchange], fetchOptions });
    const { data, error } = await client.query(gql`{ quizzes(first: 2) { nodes { id title } } }`, {}).toPromise();
    assert.equal(data?.quizzes.nodes.length, 2, String(error));
    assert.equal(sent[0].method, 'GET');
  });

  await check('persisted queries go by GET with a bearer token (13)', async () => {
    const exchanges = [documentCache, persistedExchange({ preferGetForPersistedQueries: true }), fetchExchange];
    const { client, sent } = urql({ token: tokens.accessToken, exchanges, preferGetMethod: false });
    const query = gql`query Mine { viewer { handle role } }`;
    for (let turn = 0; turn < 2; turn += 1) {
      const { data, error } = await client.query(query, {}, { requestPolicy: 'network-only' }).toPromise();
      assert.equal(typeof data?.viewer.handle, 'string', String(error));
    }
    // Unknown at first, taught, known.
    const seen = sent.map(({ method, status }) => `${method} ${status}`);
    assert.equal(seen.length, 3, seen.join(', '));
    assert.match(seen[0], /^GET (200|400)$/);
    assert.match(seen[1], / 200$/);
    assert.equal(seen[2], 'GET 200');
    return seen.join(', ');
  });

  await check('authExchange refreshes an expired token, and the query goes on (14)', async () => {
    const guest = await home.signIn('student8');
    let { refreshToken } = guest;
    let accessToken = expired(guest.accessToken);
    let refreshed = 0;
    const auth = authExchange(async utils => ({
      addAuthToOperation: operation => utils.appendHeaders(operation, bearer(accessToken)),
      didAuthError: error =>
        error.response?.status === 401 || error.graphQLErrors.some(({ extensions }) => extensions?.code === 'UNAUTHENTICATED'),
      refreshAuth: async () => {
        refreshed += 1;
        const { data, error } = await utils.mutate(REFRESH, { input: { refreshToken } });
        if (!data?.refreshSession?.tokens) throw error ?? new Error('not refreshed');
        ({ accessToken, refreshToken } = data.refreshSession.tokens);
      },
    }));
    const { client } = urql({ exchanges: [cacheExchange({ schema, keys }), auth, fetchExchange] });
    const { data, error } = await client.query(gql`{ viewer { id handle } }`, {}).toPromise();
    assert.equal(typeof data?.viewer?.handle, 'string', String(error));
    assert.equal(refreshed, 1);
  });

  await check('a subscription over graphql-ws updates graphcache', async () => {
    const socket = createClient({ url: home.socket, webSocketImpl: WebSocket, connectionParams: bearer(tokens.accessToken) });
    const forward = subscriptionExchange({
      forwardSubscription: request => ({
        subscribe: sink => ({ unsubscribe: socket.subscribe({ ...request, query: request.query ?? '' }, sink) }),
      }),
    });
    const { client } = urql({ token: tokens.accessToken, exchanges: [cacheExchange({ schema, keys }), fetchExchange, forward] });
    const query = gql`subscription { boardChanged(board: {everything: WEEK}, first: 3) { asOf totalCount board { id window } } }`;
    const first = await new Promise(done => {
      const { unsubscribe } = client.subscription(query, {}).subscribe(result => {
        done(result);
        setTimeout(() => unsubscribe());
      });
    });
    assert.equal(first.error, undefined);
    assert.equal(first.data.boardChanged.board.window, 'WEEK');
    await socket.dispose();
  });

  await check('a subscription over server-sent events is read', async () => {
    const { client } = urql({ token: tokens.accessToken, exchanges: [documentCache, fetchExchange], fetchSubscriptions: true });
    const query = gql`subscription { boardChanged(board: {everything: WEEK}, first: 3) { asOf totalCount } }`;
    const first = await new Promise(done => {
      const { unsubscribe } = client.subscription(query, {}).subscribe(result => {
        done(result);
        setTimeout(() => unsubscribe());
      });
    });
    assert.equal(typeof first.data?.boardChanged.totalCount, 'number', String(first.error));
  });

  await check('a question bank goes as a file, by the multipart request specification (21)', async () => {
    const editor = (await home.signIn('editor')).accessToken;
    const headers = { ...bearer(editor), 'apollo-require-preflight': 'true' };
    const { client, sent } = urql({ exchanges: [fetchExchange], fetchOptions: { headers } });
    const upload = gql`mutation Upload($file: Upload!) {
      importBank(input: {file: $file, quizTitle: "By urql", subject: "Biology"}) { bankImport { fileName } errors { code message } }
    }`;
    const file = new File(['Question,A,B,Answer\nIs a cell alive?,yes,no,A\n'], 'cells.csv', { type: 'text/csv' });
    const { data, error } = await client.mutation(upload, { file }).toPromise();
    assert.equal(error, undefined, String(error));
    assert.deepEqual(data.importBank.errors, []);
    assert.equal(data.importBank.bankImport.fileName, 'cells.csv');
    assert.equal(new Headers(sent[0].headers).get('content-type'), null, 'the boundary is for fetch to add');
  });
}
