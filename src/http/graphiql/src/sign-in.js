import { CLIENT_HEADER, HOME_URL, isStaff, refresh } from './session.js';

const form = document.getElementById('sign-in');
const button = form.querySelector('button');
const message = document.getElementById('message');

const MUTATION = `mutation SignIn($input: SignInInput!) {
  signIn(input: $input) { viewer { handle role } errors { code message } }
}`;

const NOT_STAFF = 'This account isn’t a staff account. Sign in with one that is.';

function show(text) {
  message.textContent = text;
}

function setBusy(busy) {
  button.disabled = busy;
  form.setAttribute('aria-busy', String(busy));
  button.textContent = busy ? 'Signing in…' : 'Sign in';
}

const messages = errors => (errors ?? []).map(error => error.message).filter(Boolean).join(' ');

/**
 * Resolves to the text of what went wrong, or to null when the page is left.
 * A student is refused before there is a session, and keeps one from elsewhere.
 */
async function signIn(input) {
  let response;
  try {
    response = await fetch('/graphql', {
      method: 'POST',
      credentials: 'same-origin',
      headers: {
        ...CLIENT_HEADER,
        'content-type': 'application/json',
        accept: 'application/graphql-response+json',
      },
      body: JSON.stringify({ query: MUTATION, operationName: 'SignIn', variables: { input: { ...input, staffOnly: true } } }),
    });
  } catch {
    return 'The server can’t be reached. Check your connection and try again.';
  }
  const body = await response.json().catch(() => null);
  if (!body) return `The server answered with an error (${response.status}). Try again later.`;

  const payload = body.data?.signIn;
  const refused = messages(payload?.errors) || messages(body.errors);
  if (refused) return refused;
  if (!payload?.viewer) return 'Sign-in failed. Try again.';
  location.replace(HOME_URL);
  return null;
}

form.addEventListener('submit', async event => {
  event.preventDefault();
  show('');
  setBusy(true);
  const { email, password } = form.elements;
  const problem = await signIn({ email: email.value.trim(), password: password.value });
  if (problem === null) return;
  setBusy(false);
  show(problem);
  password.select();
});

// The button stays off until the session check ends: a refresh that lands
// after a sign-in could put the previous account's cookies back.
const session = await refresh().catch(() => null);
if (isStaff(session?.role)) {
  location.replace(HOME_URL);
} else {
  button.disabled = false;
  if (session) show(NOT_STAFF);
}
