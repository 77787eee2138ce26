import { getOperationAST, parse } from 'graphql';
import { createClient } from 'graphql-ws';
import { form } from './files.js';
import { noteReply } from './ids.js';
import { CLIENT_HEADER, SIGN_IN_URL, refresh } from './session.js';

const isUnauthenticated = errors =>
  Array.isArray(errors) && errors.some(error => error?.extensions?.code === 'UNAUTHENTICATED');

async function renewSession() {
  if (await refresh()) return;
  location.assign(SIGN_IN_URL);
  throw new Error('The session has ended. Sign in again.');
}

async function post(params, headers) {
  const upload = form(params);
  const response = await fetch('/graphql', {
    method: 'POST',
    credentials: 'same-origin',
    headers: {
      accept: 'application/graphql-response+json, application/json',
      // GraphiQL shows `extensions.cost` beside each response.
      'x-marmalade-cost': 'true',
      ...headers,
      ...CLIENT_HEADER,
      // The browser names a form's boundary itself.
      ...(upload ? {} : { 'content-type': 'application/json' }),
    },
    body: upload ?? JSON.stringify(params),
  });
  const text = await response.text();
  try {
    const result = JSON.parse(text);
    noteReply(result);
    return result;
  } catch {
    throw new Error(text.trim() || `The server answered ${response.status} with an empty body.`);
  }
}

export async function execute(params, headers) {
  const result = await post(params, headers);
  if (!isUnauthenticated(result?.errors)) return result;
  await renewSession();
  return post(params, headers);
}

// 4401 is what releases before this one closed with.
const sessionCloseCodes = new Set([4401, 4403]);
const isCloseEvent = error => typeof error?.code === 'number' && typeof error.reason === 'string';
const endedSession = error =>
  isUnauthenticated(error) || (isCloseEvent(error) && sessionCloseCodes.has(error.code));

const socket = createClient({
  url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/graphql/ws`,
  retryAttempts: 10,
  // A socket closed over its session comes back only after a refresh, which
  // `subscribe` below does; graphql-ws by itself would repeat 4403 with the same cookie.
  shouldRetry: error => isCloseEvent(error) && !sessionCloseCodes.has(error.code),
});

function readable(error) {
  if (isCloseEvent(error)) {
    return { message: `The socket was closed: ${error.code} ${error.reason}`.trim() };
  }
  return error instanceof Error ? { message: error.message } : error;
}

// An observable rather than an async generator: a generator cannot be stopped
// while it waits for the next event.
function subscribe(payload) {
  return {
    subscribe(sink) {
      let stop = () => {};
      let attempt = 0;
      let renewed = false;

      const start = () => {
        const current = ++attempt;
        const live = () => current === attempt;
        const renew = () => {
          attempt += 1;
          renewed = true;
          stop();
          // Cookies are read at the handshake, so an open socket keeps the old ones.
          socket.terminate();
          const expected = attempt;
          renewSession().then(
            () => expected === attempt && start(),
            error => expected === attempt && sink.error(readable(error)),
          );
        };
        stop = socket.subscribe(payload, {
          next(result) {
            if (!live()) return;
            if (!renewed && isUnauthenticated(result.errors)) return renew();
            renewed = false;
            noteReply(result);
            sink.next(result);
          },
          error(error) {
            if (!live()) return;
            if (!renewed && endedSession(error)) return renew();
            sink.error(readable(error));
          },
          complete() {
            if (live()) sink.complete();
          },
        });
      };

      start();
      return {
        unsubscribe() {
          attempt += 1;
          stop();
        },
      };
    },
  };
}

export function fetcher({ query, variables, operationName }, options) {
  const params = { query, variables, operationName: operationName ?? undefined };
  let operation;
  try {
    const document = parse(query);
    operation = getOperationAST(document, operationName);
    if (!operation) {
      // Right after a change of tab GraphiQL still names the previous tab's operation.
      operation = getOperationAST(document);
      if (operation) params.operationName = operation.name?.value;
    }
  } catch {
    // A document that does not parse is the server's to report.
  }
  return operation?.operation === 'subscription'
    ? subscribe(params)
    : execute(params, options?.headers);
}
