// Python's gql: python/check.py, in the environment that `run` has made.
import { told } from './program.mjs';
import { ROOT, expired } from './site.mjs';

export default async function ({ site, tell }) {
  const home = await site();
  const token = (await home.signIn('student10')).accessToken;
  const python = process.env.CLIENTS_PYTHON ?? `${ROOT}target/clients-python/bin/python`;
  const script = new URL('python/check.py', import.meta.url).pathname;
  await told(tell, python, [script], { URL: home.url, SOCKET: home.socket, TOKEN: token, EXPIRED: expired(token) });
}
