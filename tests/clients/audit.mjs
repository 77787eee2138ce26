// graphql-http's audit of a server (https://github.com/graphql/graphql-http#audit): no error and no warning, in both modes,
// for who may read the schema and for who may not.
import assert from 'node:assert/strict';
import { serverAudits } from 'graphql-http';
import { bearer } from './site.mjs';

export default async function ({ check, site }) {
  for (const mode of ['development', 'production']) {
    const home = await site(mode);
    const staff = (await home.signIn('editor')).accessToken;
    for (const [who, headers] of [
      ['a stranger', {}],
      ['staff', bearer(staff)],
    ]) {
      await check(`${mode}, ${who}: every audit passes`, async () => {
        const fetchFn = (url, options = {}) => fetch(url, { ...options, headers: { ...options.headers, ...headers } });
        const bad = [];
        const audits = serverAudits({ url: home.url, fetchFn });
        for (const audit of audits) {
          const { status, id, name, reason } = await audit.fn();
          // A notice tells what a server may do besides, such as forms, which ours refuses on purpose.
          if (status === 'warn' || status === 'error') bad.push(`${status} ${id} ${name}: ${reason}`);
        }
        assert.deepEqual(bad, []);
        return `${audits.length} audits`;
      });
      const closed = mode === 'production' && who !== 'staff';
      await check(`${mode}, ${who}: the schema is ${closed ? 'closed' : 'open'}`, async () => {
        const reply = await home.post({ query: '{ __schema { queryType { name } } }' }, headers);
        if (closed) assert.equal(reply.errors?.[0].extensions.code, 'FORBIDDEN', reply.text);
        else assert.equal(reply.data?.__schema.queryType.name, 'Query', reply.text);
      });
    }
  }
}
