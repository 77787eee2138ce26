// The session of a browser is in cookies that no script can read. An access token lasts 15 minutes: on UNAUTHENTICATED
// the session is refreshed, once for however many requests were refused, and each is sent again.

type Ended = () => void;

let generation = 0;
let refreshing: Promise<boolean> | null = null;
let ended: Ended = () => {};

/** What to do once the session turns out to be over. */
export function onSessionEnd(react: Ended): void {
  ended = react;
}

/** Whether the session goes on. A request that did not reach the server throws, as `fetch` does: that says nothing. */
export function refresh(): Promise<boolean> {
  refreshing ??= ask().finally(() => {
    refreshing = null;
  });
  return refreshing;
}

async function ask(): Promise<boolean> {
  const reply = await fetch('/auth/refresh', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  });
  if (reply.ok) {
    generation += 1;
    return true;
  }
  if (reply.status === 401) {
    ended();
    return false;
  }
  throw new TypeError(`The session could not be refreshed: ${reply.status}`);
}

/** `fetch` for GraphQL. */
export async function sessionFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const before = generation;
  const response = await fetch(input, init);
  const text = await response.clone().text();
  if (!text.includes('"UNAUTHENTICATED"')) return response;
  // Another request may have refreshed the session while this one was under way.
  const goesOn = before !== generation || (await refresh());
  return goesOn ? fetch(input, init) : response;
}
