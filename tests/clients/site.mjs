// A server of its own on an empty folder, with demo content and an embedded database, and who signs in there.
import { spawn, spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ROOT = new URL('../../', import.meta.url).pathname;
export const PASSWORD = 'marmalade-demo';
const PROGRAM = process.env.MARMALADE ?? join(ROOT, 'target/debug/marmalade');
const SECRET = randomBytes(48).toString('base64');

/** All clients come from one address: none is to be refused for what the others did. */
function limitless() {
  const { stdout, error } = spawnSync(PROGRAM, ['config'], { encoding: 'utf8', env: { PATH: process.env.PATH } });
  if (error) throw error;
  return Object.fromEntries(stdout.match(/MARMALADE_LIMIT_\w+/g).map(key => [key, '100000/60s']));
}


// Whatever ends this process ends its servers.
const running = new Set();
process.on('exit', () => running.forEach(child => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

export class Site {
  /** With demo content. */
  static start(environment = {}) {
    return Site.open({ ...limitless(), ...environment }, []);
  }

  /** As the project is shipped for the world, with one editor. */
  static inProduction() {
    const environment = { MARMALADE_MODE: 'production', MARMALADE_SITE_URL: 'https://exam.example' };
    return Site.open(environment, [['editor', 'editor']]);
  }

  static async open(environment, accounts) {
    const folder = await mkdtemp(join(tmpdir(), 'marmalade-clients-'));
    const env = {
      PATH: process.env.PATH,
      MARMALADE_LISTEN: '127.0.0.1:0',
      MARMALADE_DATA_DIR: join(folder, 'data'),
      MARMALADE_LOG: 'error',
      MARMALADE_SECRETS: SECRET,
      ...environment,
    };
    if (accounts.length > 0) spawnSync(PROGRAM, ['migrate', 'up'], { env, cwd: folder });
    for (const [name, role] of accounts) {
      const given = ['user', 'create', '--email', `${name}@demo.example`, '--handle', name, '--role', role];
      const { status, stderr } = spawnSync(PROGRAM, given, { env, cwd: folder, input: `${PASSWORD}\n`, encoding: 'utf8' });
      if (status !== 0) throw new Error(stderr);
    }
    const child = spawn(PROGRAM, [], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env });
    running.add(child);
    child.once('exit', () => running.delete(child));
    const site = new Site(child, folder);
    child.stderr.on('data', text => (site.log += text));
    site.port = await new Promise((found, failed) => {
      let printed = '';
      child.once('exit', code => failed(new Error(`the server ended with ${code}: ${site.log}`)));
      child.stdout.on('data', text => {
        printed += text;
        const serves = printed.match(/serves on http:\/\/[^:\s]+:(\d+)/);
        if (serves) found(Number(serves[1]));
      });
    });
    site.url = `http://127.0.0.1:${site.port}/graphql`;
    site.socket = `ws://127.0.0.1:${site.port}/graphql/ws`;
    return site;
  }

  constructor(child, folder) {
    Object.assign(this, { child, folder, log: '' });
  }

  async stop() {
    const ended = new Promise(done => this.child.once('exit', done));
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), 10_000);
    await ended;
    clearTimeout(late);
    await rm(this.folder, { recursive: true, force: true });
  }

  /** The reply to a request as a plain client sends it: status, content type, text and what it says. */
  async post(body, headers = {}) {
    const reply = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    const text = await reply.text();
    let said;
    try {
      said = JSON.parse(text);
    } catch {}
    return { status: reply.status, headers: reply.headers, text, ...said };
  }

  async ask(query, variables = {}, token = undefined) {
    const reply = await this.post({ query, variables }, token ? bearer(token) : {});
    if (!reply.data || reply.errors) throw new Error(reply.text);
    return reply.data;
  }

  /** The tokens of somebody of the demo content: `student1`, `editor`, `admin`. */
  async signIn(name) {
    const query = `mutation SignIn($input: SignInInput!) {
      signIn(input: $input) { tokens { accessToken refreshToken } errors { code } }
    }`;
    const input = { email: `${name}@demo.example`, password: PASSWORD, client: 'NATIVE' };
    const { signIn } = await this.ask(query, { input });
    if (!signIn.tokens) throw new Error(JSON.stringify(signIn));
    return signIn.tokens;
  }

  async quiz(token) {
    return (await this.ask('{ quizzes(first: 1) { nodes { id } } }', {}, token)).quizzes.nodes[0].id;
  }
}

export const bearer = token => ({ authorization: `Bearer ${token}` });

/** The same token with another end, signed as the server does: what a phone has in its memory after a night. */
export function lasting(token, seconds) {
  const [head, claims] = token.split('.');
  const now = Date.now() / 1000;
  const changed = { ...JSON.parse(Buffer.from(claims, 'base64url')), iat: now + seconds - 900, exp: now + seconds };
  const body = `${head}.${Buffer.from(JSON.stringify(changed)).toString('base64url')}`;
  const key = createHmac('sha256', SECRET).update('access token').digest();
  return `${body}.${createHmac('sha256', key).update(body).digest('base64url')}`;
}

export const expired = token => lasting(token, -60);
