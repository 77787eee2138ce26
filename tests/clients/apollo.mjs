// Apollo Client 4 with its normalised cache.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { CombinedGraphQLErrors } from '@apollo/client/errors';
import { SetContextLink } from '@apollo/client/link/context';
import { ErrorLink } from '@apollo/client/link/error';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import { from, switchMap } from 'rxjs';
import WebSocket from 'ws';
import { PASSWORD, Site, bearer, expired } from './site.mjs';

const REFUSED = gql`{ jobs(first: 1) { totalCount } viewer { id handle } }`;
const SIGN_IN = gql`mutation SignIn($input: SignInInput!) {
  signIn(input: $input) { viewer { id handle role } tokens { accessToken refreshToken } errors { code } }
}`;
const REFRESH = gql`mutation Refresh($input: RefreshSessionInput!) {
  refreshSession(input: $input) { tokens { accessToken refreshToken } errors { code } }
}`;
const credentials = name => ({ email: `${name}@demo.example`, password: PASSWORD, client: 'NATIVE' });

/** A client, and the requests that it has sent. */
function apollo(home, { token, links = [], ...options } = {}) {
  const sent = [];
  const http = new HttpLink({
    uri: home.url,
    headers: token ? bearer(token) : {},
    fetch: async (url, request) => {
      const reply = await fetch(url, request);
      sent.push({ url: String(url), ...request, status: reply.status });
      return reply;
    },
    ...options.http,
  });
  const client = new ApolloClient({ cache: new InMemoryCache(), link: ApolloLink.from([...links, http]), ...options.client });
  return { client, sent };
}

export default async function ({ check, site }) {
  const home = await site();
  const tokens = await home.signIn('student5');

  await check('a field that failed is null, and is not asked for again (1)', async () => {
    const { client, sent } = apollo(home, { token: tokens.accessToken });
    for (let turn = 0; turn < 3; turn += 1) {
      const { data, error } = await client.query({ query: REFUSED, errorPolicy: 'all' });
      assert.equal(data.jobs, null, JSON.stringify(data));
      assert.equal(typeof data.viewer.handle, 'string');
      if (turn === 0) assert.ok(CombinedGraphQLErrors.is(error));
    }
    assert.equal(sent.length, 1);
  });

  await check('a view of a failed field settles (1)', async () => {
    const { client, sent } = apollo(home, { token: tokens.accessToken });
    const seen = [];
    const watched = client.watchQuery({ query: REFUSED, errorPolicy: 'all', fetchPolicy: 'cache-and-network' });
    const stop = watched.subscribe(result => seen.push(result));
    await watched.refetch().catch(() => {});
    await new Promise(done => setTimeout(done, 1000));
    stop.unsubscribe();
    assert.equal(seen.at(-1).data?.jobs, null, JSON.stringify(seen.at(-1)));
    assert.equal(seen.at(-1).loading, false);
    assert.ok(sent.length <= 2, `${sent.length} requests`);
  });

  await check('one account is one entry of the cache (8)', async () => {
    const { client } = apollo(home);
    const { data } = await client.mutate({ mutation: SIGN_IN, variables: { input: credentials('student5') } });
    const token = data.signIn.tokens.accessToken;
    await client.query({
      query: gql`{ viewer { id handle email } board { viewerStanding { user { id handle } } } }`,
      context: { headers: bearer(token) },
    });
    const entries = Object.entries(client.cache.extract()).filter(([, entry]) => entry.id === data.signIn.viewer.id);
    assert.deepEqual(entries.map(([key]) => key), [`User:${data.signIn.viewer.id}`]);
    assert.equal(typeof entries[0][1].email, 'string');
  });

  await check('a mutation in two fragments is made once (4)', async () => {
    const { client } = apollo(home);
    const count = async () => (await home.ask('{ viewer { sessions { totalCount } } }', {}, tokens.accessToken)).viewer.sessions.totalCount;
    const before = await count();
    await client.mutate({
      mutation: gql`
        mutation SignInTwice($input: SignInInput!) { ...Who ...What }
        fragment Who on Mutation { signIn(input: $input) { viewer { handle } } }
        fragment What on Mutation { signIn(input: $input) { tokens { accessToken } errors { code } } }
      `,
      variables: { input: credentials('student5') },
    });
    assert.equal((await count()) - before, 1);
  });

  await check('fragments on one connection are one list (4)', async () => {
    const { client } = apollo(home);
    const { data } = await client.query({
      query: gql`
        query Catalogue { ...Titles ...Subjects }
        fragment Titles on Query { quizzes(first: 3) { nodes { id title } } }
        fragment Subjects on Query { quizzes(first: 3) { nodes { id subject { id name } } } }
      `,
    });
    assert.equal(data.quizzes.nodes.length, 3);
    for (const quiz of data.quizzes.nodes) assert.ok(quiz.title && quiz.subject.name);
  });

  await check('automatic persisted queries go by GET, with a bearer token too (13)', async () => {
    const sha256 = text => createHash('sha256').update(text).digest('hex');
    const links = [new PersistedQueryLink({ sha256, useGETForHashedQueries: true })];
    const { client, sent } = apollo(home, { token: tokens.accessToken, links });
    const query = gql`query Handle { viewer { id handle } }`;
    for (let turn = 0; turn < 2; turn += 1) {
      const { data } = await client.query({ query, fetchPolicy: 'network-only' });
      assert.equal(typeof data.viewer.handle, 'string');
    }
    const seen = sent.map(({ method, status }) => `${method} ${status}`);
    assert.deepEqual(seen.slice(1), ['POST 200', 'GET 200']);
    assert.match(seen[0], /^GET/);
    return seen.join(', ');
  });

  await check('an expired token is refreshed, and the query goes on (14)', async () => {
    const guest = await home.signIn('student6');
    let { refreshToken } = guest;
    let accessToken = expired(guest.accessToken);
    const carry = new SetContextLink(({ headers }) => ({ headers: { ...headers, ...bearer(accessToken) } }));
    const renew = new ErrorLink(({ error, operation, forward }) => {
      const spent = CombinedGraphQLErrors.is(error)
        ? error.errors.some(({ extensions }) => extensions?.code === 'UNAUTHENTICATED')
        : error.statusCode === 401;
      if (!spent || operation.operationName === 'Refresh') return;
      return from(client.mutate({ mutation: REFRESH, variables: { input: { refreshToken } } })).pipe(
        switchMap(({ data }) => {
          ({ accessToken, refreshToken } = data.refreshSession.tokens);
          return forward(operation);
        }),
      );
    });
    const { client, sent } = apollo(home, { links: [renew, carry] });
    const { data } = await client.query({ query: gql`query Me { viewer { id handle } }` });
    assert.equal(typeof data.viewer.handle, 'string');
    assert.equal(sent.length, 3);
  });

  await check('a subscription writes into the cache', async () => {
    const socket = createClient({ url: home.socket, webSocketImpl: WebSocket, connectionParams: bearer(tokens.accessToken) });
    const { client } = apollo(home, { client: { link: new GraphQLWsLink(socket) } });
    const query = gql`subscription Week { boardChanged(board: {everything: WEEK}, first: 3) { totalCount board { id window } } }`;
    const first = await new Promise((done, failed) => client.subscribe({ query }).subscribe({ next: done, error: failed }));
    const board = first.data.boardChanged.board;
    assert.equal(client.cache.extract()[`Board:${board.id}`].window, 'WEEK');
    await socket.dispose();
  });

  await check('a subscription over multipart HTTP is read', async () => {
    const { client } = apollo(home, { token: tokens.accessToken });
    const query = gql`subscription Week { boardChanged(board: {everything: WEEK}, first: 3) { totalCount } }`;
    const first = await new Promise((done, failed) => {
      const following = client.subscribe({ query }).subscribe({
        next: result => {
          done(result);
          setTimeout(() => following.unsubscribe());
        },
        error: failed,
      });
    });
    assert.equal(typeof first.data.boardChanged.totalCount, 'number');
  });

  await check('pages of an allowed origin may send what the client sends (17)', async () => {
    const origin = 'https://app.example';
    const away = await Site.start({ MARMALADE_ALLOWED_ORIGINS: origin });
    try {
      const sha256 = text => createHash('sha256').update(text).digest('hex');
      const links = [new PersistedQueryLink({ sha256, useGETForHashedQueries: true })];
      const { client, sent } = apollo(away, { links, client: { clientAwareness: { name: 'app', version: '1.2' } } });
      await client.query({ query: gql`query Titles { quizzes(first: 1) { nodes { id title } } }` });
      const simple = ['accept', 'accept-language', 'content-language'];
      const also = ['apollographql-client-name', 'apollographql-client-version', 'traceparent', 'baggage', 'x-request-id'];
      const asked = new Set([...also, 'x-apollo-operation-id', 'cache-control', 'authorization']);
      for (const request of sent) new Headers(request.headers).forEach((_, name) => asked.add(name));
      simple.forEach(name => asked.delete(name));
      const missing = [];
      for (const name of asked) {
        const reply = await fetch(away.url, {
          method: 'OPTIONS',
          headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': name },
        });
        const allowed = (reply.headers.get('access-control-allow-headers') ?? '').toLowerCase().split(/\s*,\s*/);
        if (!allowed.includes(name)) missing.push(name);
      }
      assert.deepEqual(missing, []);
      return [...asked].join(' ');
    } finally {
      await away.stop();
    }
  });
}
