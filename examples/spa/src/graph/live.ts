import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import { refresh } from './session';

let isRefused = false;

// 4403 says that the credential is bad or expired: refresh the session, then come back.
const client = createClient({
  url: async () => {
    if (isRefused) isRefused = !(await refresh().catch(() => false));
    return `${location.origin.replace(/^http/, 'ws')}/graphql/ws`;
  },
  keepAlive: 12_000,
  retryAttempts: Number.POSITIVE_INFINITY,
  shouldRetry: () => true,
  retryWait: async attempt => {
    await new Promise(done => setTimeout(done, Math.min(500 * 2 ** attempt, 8000) * (0.75 + Math.random() / 2)));
  },
  on: {
    closed: event => {
      isRefused = (event as CloseEvent).code === 4403;
    },
  },
});

export const link = new GraphQLWsLink(client);
