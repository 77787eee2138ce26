// Clients of others against a server of their own, each in the way that its manual shows. A line for each check; the exit
// status is 1 if one failed.
//
//   tests/clients/run [WORD ..]      all, or those whose name begins with one of the words (apollo, urql, relay, ..)
//   MARMALADE=path/to/marmalade      the program; target/debug/marmalade without it
import { setTimeout as sleep } from 'node:timers/promises';
import { Site } from './site.mjs';

const CLIENTS = ['request', 'ws', 'apollo', 'urql', 'relay', 'codegen', 'schema', 'audit', 'python', 'rust'];
const LONGEST = 60_000;

const wanted = process.argv.slice(2);
const counted = { ok: 0, FAIL: 0 };

export function tell(passed, name, about = '') {
  const word = passed ? 'ok' : 'FAIL';
  counted[word] += 1;
  console.log(`${word.padEnd(5)} ${name}${about ? `: ${about}` : ''}`);
}

/** What was thrown: an error, the errors of an answer, or how a socket was closed. */
function told(error) {
  if (error?.message) return error.message;
  return error?.code ? `closed with ${error.code} ${error.reason}` : JSON.stringify(error);
}

/** Sites that several clients share, started when the first one needs it. */
const sites = new Map();
function site(kind = 'development') {
  if (!sites.has(kind)) sites.set(kind, kind === 'production' ? Site.inProduction() : Site.start());
  return sites.get(kind);
}

for (const client of CLIENTS) {
  if (wanted.length > 0 && !wanted.some(word => client.startsWith(word))) continue;
  const began = Date.now();
  const check = async (name, work) => {
    const late = new AbortController();
    const within = sleep(LONGEST, undefined, { signal: late.signal, ref: false }).then(
      () => Promise.reject(new Error(`took longer than ${LONGEST / 1000} s`)),
      () => {},
    );
    try {
      const about = await Promise.race([Promise.resolve().then(work), within]);
      tell(true, `${client}: ${name}`, about);
    } catch (error) {
      tell(false, `${client}: ${name}`, told(error).replaceAll('\n', ' ').slice(0, 400));
    } finally {
      late.abort();
    }
  };
  try {
    const { default: run } = await import(`./${client}.mjs`);
    await run({ check, site, tell: (passed, name, about) => tell(passed, `${client}: ${name}`, about) });
  } catch (error) {
    tell(false, client, error.stack);
  }
  console.log(`      ${client} took ${((Date.now() - began) / 1000).toFixed(1)} s`);
}
for (const started of sites.values()) await (await started).stop();
console.log(`${counted.ok} ok, ${counted.FAIL} failed`);
process.exit(counted.FAIL > 0 || counted.ok === 0 ? 1 : 0);
