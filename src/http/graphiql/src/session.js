export const CLIENT_HEADER = { 'X-Marmalade-Client': 'graphiql' };
export const HOME_URL = '/graphiql';
export const SIGN_IN_URL = '/graphiql/sign-in';

export const isStaff = role => role === 'EDITOR' || role === 'ADMIN';

async function requestRefresh() {
  const response = await fetch('/auth/refresh', {
    method: 'POST',
    credentials: 'same-origin',
    headers: { ...CLIENT_HEADER, 'content-type': 'application/json' },
    body: '{}',
  });
  const text = await response.text();
  return response.ok ? JSON.parse(text) : null;
}

let pending = null;

/**
 * Resolves to `{ role }`, or to null when there is no session to renew.
 * Rejects only when the server could not be reached.
 */
export function refresh() {
  // Refresh tokens rotate: two callers sending the same one at once, in this
  // page or in two tabs, would look like a stolen token being replayed.
  pending ??= (navigator.locks
    ? navigator.locks.request('marmalade-refresh', requestRefresh)
    : requestRefresh()
  ).finally(() => {
    pending = null;
  });
  return pending;
}
