// graphql-request 4, the lightest of the clients: it believes a body only if its type is application/json, and shows what
// the server wrote as it is.
import assert from 'node:assert/strict';
import { GraphQLClient, gql } from 'graphql-request';
import { bearer, expired } from './site.mjs';

export default async function ({ check, site }) {
  const home = await site();
  const student = (await home.signIn('student2')).accessToken;
  const client = new GraphQLClient(home.url, { headers: { ...bearer(student), accept: 'application/json' } });
  const ask = (document, variables) => client.request(document, variables);
  const refused = (document, variables) =>
    client.request(document, variables).then(
      data => assert.fail(`not refused: ${JSON.stringify(data)}`),
      error => error.response ?? assert.fail(error.message),
    );

  await check('a query is read, whatever the client accepts (12)', async () => {
    for (const accept of [undefined, '*/*', 'application/json, text/plain, */*', 'application/json']) {
      const headers = accept ? { ...bearer(student), accept } : bearer(student);
      const { viewer } = await new GraphQLClient(home.url, { headers }).request('{ viewer { handle } }');
      assert.equal(typeof viewer.handle, 'string', `accept: ${accept}`);
    }
  });

  await check('an error is read, whatever the client accepts (12)', async () => {
    for (const accept of [undefined, '*/*']) {
      const headers = accept ? { accept } : {};
      const error = await new GraphQLClient(home.url, { headers }).request('{ nobody }').catch(error => error);
      assert.match(error.response.errors[0].message, /nobody/, `accept: ${accept}`);
    }
  });

  await check('the weights of media types count (12)', async () => {
    const typed = async accept => {
      const reply = await fetch(home.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept },
        body: '{"query":"{__typename}"}',
      });
      return reply.headers.get('content-type').split(';')[0];
    };
    assert.equal(await typed('application/json;q=0.5, application/graphql-response+json'), 'application/graphql-response+json');
    assert.equal(await typed('application/json, application/graphql-response+json;q=0.5'), 'application/json');
    assert.equal(await typed('application/graphql-response+json, */*;q=0.1'), 'application/graphql-response+json');
    assert.equal(await typed('text/html, */*'), 'application/json');
  });

  await check('a field that failed is null (1)', async () => {
    const { data } = await refused('{ jobs(first: 1) { totalCount } viewer { id } }');
    assert.deepEqual(Object.keys(data), ['jobs', 'viewer']);
    assert.equal(data.jobs, null);
  });

  await check('a field that failed and may not be null takes its parent along (1)', async () => {
    const { data, errors } = await refused('{ board { id standings(first: 1000) { totalCount } } viewer { id } }');
    assert.equal(data.board, null);
    assert.equal(typeof data.viewer.id, 'string');
    assert.deepEqual(errors[0].path, ['board', 'standings']);
  });

  await check('an object with nothing selected is an object (2)', async () => {
    const query = gql`query ($no: Boolean!) {
      quizzes(first: 2) { nodes { ... @include(if: $no) { title } } }
      viewer { id @include(if: $no) }
    }`;
    assert.deepEqual(await ask(query, { no: false }), { quizzes: { nodes: [{}, {}] }, viewer: {} });
    const id = await home.quiz(student);
    const other = 'query ($id: ID!) { node(id: $id) { ... on Attempt { state } } }';
    assert.deepEqual(await ask(other, { id }), { node: {} });
  });

  await check('fields come in the order of the query (3)', async () => {
    const query = `{
      dashboard { streakDays } rateLimit { requests { limit } } __typename quizzes(first: 1) { totalCount nodes { title id } }
      viewer { role id handle } last: __typename
    }`;
    for (let turn = 0; turn < 20; turn += 1) {
      const data = await ask(query);
      assert.deepEqual(Object.keys(data), ['dashboard', 'rateLimit', '__typename', 'quizzes', 'viewer', 'last']);
      assert.deepEqual(Object.keys(data.viewer), ['role', 'id', 'handle']);
      assert.deepEqual(Object.keys(data.quizzes.nodes[0]), ['title', 'id']);
    }
  });

  await check('a variable of a directive on __typename is used (6)', async () => {
    const query = 'query ($a: Boolean!) { __typename @include(if: $a) }';
    assert.deepEqual(await ask(query, { a: true }), { __typename: 'Query' });
    assert.deepEqual(await ask(query, { a: false }), {});
  });

  await check('a syntax error is one sentence with its place (7)', async () => {
    const { errors } = await home.post({ query: '{\n  viewer { id\n' });
    assert.equal(errors.length, 1);
    assert.doesNotMatch(errors[0].message, /\n|-->/);
    assert.equal(typeof errors[0].locations[0].line, 'number');
    assert.equal(typeof errors[0].locations[0].column, 'number');
    return errors[0].message;
  });

  await check('two fields of one name and other arguments are refused (4)', async () => {
    const { errors } = await refused('{ quizzes(first: 1) { totalCount } quizzes(first: 2) { totalCount } }');
    assert.match(errors[0].message, /conflict/);
  });

  await check('signing in and refreshing ignore a bad or expired token (14)', async () => {
    const tokens = await home.signIn('student2');
    const input = { email: 'student2@demo.example', password: 'marmalade-demo', client: 'NATIVE' };
    for (const stale of ['nonsense', expired(tokens.accessToken)]) {
      const client = new GraphQLClient(home.url, { headers: { ...bearer(stale), accept: 'application/json' } });
      const signIn = 'mutation ($input: SignInInput!) { signIn(input: $input) { tokens { accessToken } errors { code } } }';
      assert.equal(typeof (await client.request(signIn, { input })).signIn.tokens.accessToken, 'string');
      const reset = 'mutation { requestPasswordReset(input: {email: "nobody@demo.example"}) { errors { code } } }';
      assert.deepEqual((await client.request(reset)).requestPasswordReset.errors, []);
      const register = 'mutation ($input: RegisterInput!) { register(input: $input) { errors { code message } } }';
      const someone = `somebody_${stale.length % 1000}`;
      const account = { email: `${someone}@demo.example`, handle: someone, password: 'correct horse', client: 'NATIVE' };
      assert.deepEqual((await client.request(register, { input: account })).register.errors, []);
    }
    const client = new GraphQLClient(home.url, { headers: { ...bearer(expired(tokens.accessToken)), accept: 'application/json' } });
    const refresh = 'mutation ($input: RefreshSessionInput!) { refreshSession(input: $input) { tokens { accessToken } errors { code } } }';
    const { refreshSession } = await client.request(refresh, { input: { refreshToken: tokens.refreshToken } });
    assert.equal(typeof refreshSession.tokens.accessToken, 'string');
  });

  await check('a question bank goes as a file, by the multipart request specification (21)', async () => {
    const editor = (await home.signIn('editor')).accessToken;
    const headers = { ...bearer(editor), accept: 'application/json', 'apollo-require-preflight': 'true' };
    const upload = gql`mutation Upload($file: Upload!) {
      importBank(input: {file: $file, quizTitle: "By graphql-request", subject: "Biology"}) {
        bankImport { fileName }
        errors { code message }
      }
    }`;
    const file = new File(['Question,A,B,Answer\nIs a cell alive?,yes,no,A\n'], 'cells.csv', { type: 'text/csv' });
    const { importBank } = await new GraphQLClient(home.url, { headers, fetch }).request(upload, { file });
    assert.deepEqual(importBank, { bankImport: { fileName: 'cells.csv' }, errors: [] });
  });
}
