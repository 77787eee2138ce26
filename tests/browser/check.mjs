// What a real browser does with a running server: GraphiQL works without a network, no script ever sees a token,
// sessions go on by themselves, and pages of other origins achieve nothing.
//
//   npm ci && node check.mjs            (Debian's `chromium` is installed; CHROMIUM names another one)
//   MARMALADE=path/to/marmalade         the program; target/debug/marmalade without it
//   SCREENSHOTS=folder                  keeps pictures of what was seen
//
// It starts its own server on an empty folder and its own second site, and ends them.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const STAFF = { email: 'editor@demo.example', password: 'marmalade-demo' };
const folder = await mkdtemp(join(tmpdir(), 'marmalade-browser-'));
const shots = process.env.SCREENSHOTS ?? join(folder, 'screenshots');
await mkdir(shots, { recursive: true });

const server = await startServer();
const elsewhere = createServer((_, response) => {
  response.setHeader('content-type', 'text/html');
  response.end('<!doctype html><title>Another site</title><body>');
});
await new Promise(done => elsewhere.listen(0, '127.0.0.1', done));
const otherPort = elsewhere.address().port;

const browser = await chromium.launchPersistentContext(join(folder, 'profile'), {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  headless: true,
  viewport: { width: 1400, height: 900 },
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // There is no network but this machine.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
  ],
});

// Everything that came over the wire, to look for tokens in it and for other hosts.
const bodies = [];
const hosts = new Set();
browser.on('request', request => hosts.add(new URL(request.url()).host || new URL(request.url()).protocol));
browser.on('response', response => {
  const body = response.body().then(
    bytes => `${response.url()}\n${bytes.toString('utf8')}`,
    () => '',
  );
  bodies.push(body);
});

let failures = 0;
async function check(name, work) {
  const began = Date.now();
  try {
    const found = await work();
    console.log(`ok    ${name}${found ? `: ${found}` : ''} (${Date.now() - began} ms)`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL  ${name}: ${error.message}`);
    await page?.screenshot({ path: join(shots, `failure-${failures}.png`) }).catch(() => {});
  }
}

let page;
try {
  page = await browser.newPage();
  const problems = [];
  page.on('console', message => message.type() === 'error' && problems.push(message.text()));
  page.on('pageerror', error => problems.push(String(error)));
  // The sign-in page asks whether a session is there; that there is none is no problem.
  const loud = () => problems.filter(problem => !problem.includes('401'));

  await check('staff sign in at a page of the server', async () => {
    await page.goto(`${server}/graphiql`);
    await page.waitForURL('**/graphiql/sign-in');
    await page.fill('[name=email]', STAFF.email);
    await page.fill('[name=password]', 'not the password');
    await page.waitForSelector('button:not([disabled])');
    await page.click('button');
    await page.waitForFunction(() => document.getElementById('message').textContent);
    await shoot('sign-in-refused');
    await page.fill('[name=email]', 'student1@demo.example');
    await page.fill('[name=password]', STAFF.password);
    await page.click('button');
    await page.waitForFunction(() => document.getElementById('message').textContent.includes('staff account'));
    await shoot('sign-in-of-a-student');
    assert.deepEqual(await browser.cookies(), [], 'a student is not left signed in');
    await page.fill('[name=email]', STAFF.email);
    await page.fill('[name=password]', STAFF.password);
    await page.click('button');
    await page.waitForURL(`${server}/graphiql`);
    await page.waitForSelector('.graphiql-execute-button');
  });

  await check('GraphiQL runs a query', async () => {
    await openTab('Boards');
    await run('Boards');
    const shown = await answered('"standings"');
    await shoot('query');
    assert(!shown.includes('"errors"'), shown);
  });

  await check('GraphiQL runs a mutation', async () => {
    const quiz = (await ask('{ quizzes(first: 1) { nodes { id } } }')).quizzes.nodes[0].id;
    await openTab('StartAttempt');
    await setVariables(JSON.stringify({ input: { quizId: quiz } }));
    await run('StartAttempt');
    const shown = await answered('"deadlineAt"');
    await shoot('mutation');
    assert(shown.includes('attempt_'), shown);
  });

  await check('GraphiQL follows a subscription while a student submits', async () => {
    await openTab('WatchBoard');
    await run('WatchBoard');
    await answered('"asOf"');
    const before = await response();
    await shoot('subscription-before');
    const handle = await studentTakesTheBoard();
    await answered(handle);
    await shoot('subscription-after');
    assert.notEqual(await response(), before);
    await page.click('.graphiql-execute-button');
    return `${handle} appeared on the board`;
  });

  await check('staff make a whole exam with the saved operations, as the tour says', async () => {
    const bank = 'Question,A,B,C,Answer,Explanation\nWhich gas is noble?,Neon,Oxygen,Nitrogen,A,Its shell is full.\nWhich is a metal?,Iron,Argon,Helium,A,\n';
    await showOperations();
    await page.setInputFiles('.operations-file input', { name: 'gases.csv', mimeType: 'text/csv', buffer: Buffer.from(bank) });
    const sent = await saved('UploadBank');
    assert.match(sent.uploadBank.bankImport?.id ?? JSON.stringify(sent), /^import_/);
    const ready = await until(() => saved('LookThroughImport'), found => found.bankImport.state === 'READY');
    const [sheet] = ready.bankImport.sheets;
    assert.equal(sheet.questions.totalCount, 2);
    await shoot('import-looked-through');
    await saved('ConfirmImport', {
      input: {
        importId: sent.uploadBank.bankImport.id,
        sheets: [{ sheet: sheet.name, into: { newQuiz: { title: 'Gases', subject: 'Chemistry' } } }],
        reason: 'The tour.',
      },
    });
    const imported = await until(() => saved('Imports'), found => found.bankImports.nodes[0].state === 'DONE');
    assert.equal(imported.bankImports.nodes[0].sheets[0].quiz.title, 'Gases');

    const made = await saved('CreateQuiz', { input: { title: 'The noble gases', subject: 'Chemistry', durationSeconds: 600, reason: 'The tour.' } });
    assert.deepEqual(made.createQuiz.errors, []);
    const quiz = made.createQuiz.quiz.id;
    assert.deepEqual((await saved('AddQuestion')).addQuestion.errors, []);
    assert.equal((await saved('PreviewDraft')).draft.preview.length, 1);
    assert.equal((await saved('PublishQuiz')).publishQuiz.quiz?.state, 'OPEN');
    assert.equal((await saved('WithdrawQuiz')).withdrawQuiz.quiz?.state, 'WITHDRAWN');
    assert.equal((await saved('ReinstateQuiz')).reinstateQuiz.quiz?.state, 'OPEN');
    assert.equal((await saved('CreateDraft')).createDraft.created, true);
    await saved('ShowDraft');
    const changed = await saved('UpdateQuestion');
    assert.deepEqual(changed.updateQuestion.errors, []);
    const { changes } = (await saved('DraftChanges')).draft;
    assert.deepEqual(changes.map(change => change.kind), ['CHANGED']);
    await shoot('draft-changes');
    const published = await saved('PublishQuiz');
    assert.deepEqual([published.publishQuiz.quiz?.id, published.publishQuiz.quiz?.state], [quiz, 'OPEN'], JSON.stringify(published));
    const exported = (await saved('ExportQuiz')).exportQuiz.file;
    assert.match(exported.fileName, /^The noble gases\.xlsx$/);
    assert.equal(Buffer.from(exported.content, 'base64').subarray(0, 2).toString(), 'PK');
  });

  await check('the page had no errors', async () => assert.deepEqual(loud(), []));

  await check('no script and no response holds a token', async () => {
    const cookies = await browser.cookies(server + '/auth/refresh');
    const tokens = cookies.filter(cookie => /_token$/.test(cookie.name));
    assert.deepEqual(tokens.map(token => token.name).sort(), ['access_token', 'device_token', 'refresh_token']);
    for (const cookie of tokens) {
      assert(cookie.httpOnly && cookie.sameSite === 'Strict', JSON.stringify({ ...cookie, value: '' }));
    }
    const held = await page.evaluate(async () => ({
      cookie: document.cookie,
      local: JSON.stringify(localStorage),
      session: JSON.stringify(sessionStorage),
      databases: (await indexedDB.databases()).map(database => database.name),
      html: document.documentElement.outerHTML,
    }));
    assert.equal(held.cookie, '');
    assert.deepEqual(held.databases, []);
    const everything = [...Object.values(held).map(String), ...(await Promise.all(bodies))];
    for (const { name, value } of tokens) {
      for (const text of everything) {
        assert(!text.includes(value), `${name} is in ${text.slice(0, 80)}`);
      }
    }
    const jwt = everything.find(text => /\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/.test(text));
    assert.equal(jwt, undefined);
    return `document.cookie, both storages, IndexedDB, the document and ${bodies.length} response bodies were searched`;
  });

  // After a quarter of an hour a browser has dropped the access cookie: its lifetime is the cookie's.
  const dropAccess = () => browser.clearCookies({ name: 'access_token' });
  // GraphiQL still shows the answer from before until the new one is there, so that the answer alone proves nothing.
  const oneRefresh = async tab =>
    (await tab.waitForResponse(answer => answer.url().endsWith('/auth/refresh'), { timeout: 10_000 })).status();
  const refreshes = tab => {
    const seen = [];
    tab.on('response', answer => answer.url().endsWith('/auth/refresh') && seen.push(answer.status()));
    return seen;
  };

  await check('an expired session goes on without the page noticing', async () => {
    const url = page.url();
    await openTab('Quizzes');
    await page.evaluate(() => (window.sameDocument = true));
    await dropAccess();
    await openTab('Boards');
    const refreshed = oneRefresh(page);
    await run('Boards');
    assert.equal(await refreshed, 200);
    const shown = await answered('"standings"');
    assert(!shown.includes('UNAUTHENTICATED'), shown);
    assert.equal(page.url(), url);
    assert(await page.evaluate(() => window.sameDocument), 'the page was loaded anew');
  });

  await check('a bad access cookie is replaced in the same way', async () => {
    const [{ domain, path }] = (await browser.cookies()).filter(cookie => cookie.name === 'access_token');
    await browser.addCookies([{ name: 'access_token', value: 'e30.e30.e30', domain, path, httpOnly: true, sameSite: 'Strict' }]);
    await openTab('Boards');
    const refreshed = oneRefresh(page);
    await run('Boards');
    assert.equal(await refreshed, 200);
    assert(!(await answered('"standings"')).includes('UNAUTHENTICATED'));
  });

  await check('a subscription goes on after its session expired', async () => {
    const seen = refreshes(page);
    await dropAccess();
    await page.reload();
    await page.waitForURL(/graphiql/);
    await page.waitForSelector('.graphiql-execute-button');
    await dropAccess();
    await openTab('WatchBoard');
    await run('WatchBoard');
    await answered('"asOf"');
    await page.click('.graphiql-execute-button');
    return `refreshed ${seen.length} times`;
  });

  const stolen = (await browser.cookies(server + '/auth/refresh')).find(cookie => cookie.name === 'refresh_token').value;
  await check('two tabs that refresh at once stay signed in', async () => {
    const other = await browser.newPage();
    await other.goto(`${server}/graphiql`);
    await dropAccess();
    const refresh = tab =>
      tab.evaluate(async () => {
        // Without the lock that GraphiQL takes: both requests carry the same refresh token.
        const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
        return (await fetch('/auth/refresh', options)).status;
      });
    assert.deepEqual(await Promise.all([refresh(page), refresh(other)]), [200, 200]);
    for (const tab of [page, other]) {
      assert.equal((await ask('{ viewer { role } }', tab)).viewer.role, 'EDITOR');
    }
    for (let round = 0; round < 5; round += 1) {
      assert.deepEqual(await Promise.all([refresh(page), refresh(other)]), [200, 200]);
    }
    assert.equal((await ask('{ viewer { role } }', other)).viewer.role, 'EDITOR');
    await other.close();
  });
  const rotated = Date.now();

  const handle = async () => (await ask('{ viewer { handle } }')).viewer.handle;
  const before = await handle();
  const MUTATION = 'mutation { updateAccount(input: {handle: "stolen"}) { errors { code } } }';
  for (const [kind, origin] of [
    ['another port, to which cookies go', `http://localhost:${otherPort}`],
    ['another site', `http://127.0.0.1:${otherPort}`],
  ]) {
    const evil = await browser.newPage();
    const statuses = [];
    browser.on('response', note);
    function note(answer) {
      if (answer.url().startsWith(`${server}/graphql`)) statuses.push(`${answer.request().method()} ${answer.status()}`);
    }
    const nothingHappened = async () => assert.equal(await handle(), before);

    for (const enctype of ['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']) {
      await check(`${kind}: a form post as ${enctype}`, async () => {
        await evil.goto(origin);
        statuses.length = 0;
        const posted = evil.waitForResponse(answer => answer.url() === `${server}/graphql`);
        await evil.evaluate(
          ({ action, enctype, query }) => {
            const form = document.createElement('form');
            Object.assign(form, { action, method: 'POST', enctype });
            const body = JSON.stringify({ query });
            const fields = {
              'text/plain': { [`${body.slice(0, -1)},"x":"`]: '"}' },
              'multipart/form-data': { operations: body, map: '{}', query },
            };
            for (const [name, value] of Object.entries(fields[enctype] ?? { query })) {
              const input = document.createElement('input');
              Object.assign(input, { type: 'hidden', name, value });
              form.append(input);
            }
            document.body.append(form);
            form.submit();
          },
          { action: `${server}/graphql`, enctype, query: MUTATION },
        );
        const status = (await posted).status();
        // The page goes to what the form was answered.
        await evil.waitForURL(`${server}/graphql`);
        await nothingHappened();
        // A form with files is read, but only from whoever can send a header.
        assert.equal(status, enctype === 'multipart/form-data' ? 403 : 415);
        return `status ${status}`;
      });
    }

    await check(`${kind}: a link with a mutation`, async () => {
      await evil.goto(origin);
      const answer = await evil.goto(`${server}/graphql?query=${encodeURIComponent(MUTATION)}`);
      await nothingHappened();
      assert([405, 406].includes(answer.status()), String(answer.status()));
      return `status ${answer.status()}`;
    });

    for (const credentials of ['omit', 'include']) {
      for (const [form, type, mode] of [
        ['simple', 'text/plain', 'cors'],
        ['simple and blind', 'text/plain', 'no-cors'],
        ['preflighted', 'application/json', 'cors'],
      ]) {
        await check(`${kind}: a ${form} fetch, credentials ${credentials}`, async () => {
          await evil.goto(origin);
          const got = await evil.evaluate(
            async ({ url, credentials, type, mode, query }) => {
              try {
                const options = { method: 'POST', mode, credentials, headers: { 'content-type': type }, body: JSON.stringify({ query }) };
                const answer = await fetch(url, options);
                return `${answer.type} ${answer.status} ${await answer.text()}`;
              } catch (error) {
                return error.name;
              }
            },
            { url: `${server}/graphql`, credentials, type, mode, query: MUTATION },
          );
          await nothingHappened();
          assert.equal(got.trim(), mode === 'no-cors' ? 'opaque 0' : 'TypeError');
          return got.trim();
        });
      }
      await check(`${kind}: reading by GET, credentials ${credentials}`, async () => {
        const got = await evil.evaluate(
          async ({ url, credentials }) => fetch(url, { credentials }).then(answer => answer.text(), error => error.name),
          { url: `${server}/graphql?query={viewer{email}}`, credentials },
        );
        assert.equal(got, 'TypeError');
      });
      await check(`${kind}: a refresh, credentials ${credentials}`, async () => {
        const got = await evil.evaluate(
          async ({ url, credentials }) =>
            fetch(url, { method: 'POST', mode: 'no-cors', credentials, body: '{}' }).then(answer => answer.type, error => error.name),
          { url: `${server}/auth/refresh`, credentials },
        );
        assert.equal(got, 'opaque');
        assert.equal((await ask('{ viewer { role } }')).viewer.role, 'EDITOR');
      });
    }

    await check(`${kind}: a WebSocket`, async () => {
      const got = await evil.evaluate(socketOutcome, server.replace('http', 'ws') + '/graphql/ws');
      assert.equal(got, 'refused');
    });
    browser.off('response', note);
    await evil.close();
  }

  await check('the own origin: a fetch with and without credentials, and a WebSocket', async () => {
    const query = '{ quizzes(first: 1) { nodes { id } } viewer { handle } }';
    const got = await page.evaluate(async query => {
      const send = async credentials => {
        const options = { method: 'POST', credentials, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query }) };
        return (await fetch('/graphql', options)).json();
      };
      return [await send('include'), await send('omit')];
    }, query);
    assert.equal(got[0].data.viewer.handle, before);
    assert.equal(got[1].data.quizzes.nodes.length, 1);
    assert.equal(got[1].errors[0].extensions.code, 'UNAUTHENTICATED');
    assert.equal(await page.evaluate(socketOutcome, server.replace('http', 'ws') + '/graphql/ws'), 'connection_ack');
    const changed = await ask('mutation { updateAccount(input: {handle: "RenamedEditor"}) { errors { code } } }');
    assert.deepEqual(changed.updateAccount.errors, []);
    assert.equal(await handle(), 'RenamedEditor');
  });

  await check('a stolen old refresh token ends the family', async () => {
    // For 30 seconds it is taken for another tab's.
    await page.waitForTimeout(Math.max(0, rotated + 31_000 - Date.now()));
    const thief = await fetch(`${server}/auth/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: server, cookie: `refresh_token=${stolen}` },
      body: '{}',
    });
    assert.equal(thief.status, 401);
    const { errors } = await send('{ viewer { handle } }');
    assert.equal(errors[0].extensions.code, 'UNAUTHENTICATED');
    const again = await page.evaluate(async () => {
      const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
      return (await fetch('/auth/refresh', options)).status;
    });
    assert.equal(again, 401);
    return 'neither the thief nor the browser can go on';
  });

  await check('nothing was asked of another host', async () => {
    const allowed = new Set([new URL(server).host, `127.0.0.1:${otherPort}`, `localhost:${otherPort}`, 'data:', 'blob:', 'about:']);
    assert.deepEqual([...hosts].filter(host => !allowed.has(host)), []);
  });
} finally {
  await browser.close();
  elsewhere.close();
  server.process.kill('SIGTERM');
  await new Promise(done => server.process.once('exit', done));
  if (!process.env.KEEP) await rm(folder, { recursive: true, force: true });
}
console.log(failures ? `${failures} checks failed` : 'all checks passed');
process.exitCode = failures ? 1 : 0;

/** The server's address, with its process. */
async function startServer() {
  const program = process.env.MARMALADE ?? new URL('../../target/debug/marmalade', import.meta.url).pathname;
  const environment = {
    PATH: process.env.PATH,
    MARMALADE_LISTEN: '127.0.0.1:0',
    MARMALADE_DATA_DIR: join(folder, 'data'),
    MARMALADE_LOG: 'warn',
  };
  const child = spawn(program, [], { env: environment, cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  const address = await new Promise((found, failed) => {
    let printed = '';
    child.once('exit', code => failed(new Error(`the server ended with ${code}`)));
    child.stdout.on('data', data => {
      printed += data;
      const match = /serves on (http:\S+)/.exec(printed);
      if (match) found(match[1]);
    });
  });
  return Object.assign(new String(address), { process: child });
}

async function shoot(name) {
  await page.screenshot({ path: join(shots, `${name}.png`) });
}

async function openTab(name) {
  await page.locator('.graphiql-tab-button', { hasText: name }).first().click();
}

async function run() {
  await page.click('.graphiql-execute-button');
}

async function showOperations() {
  if (await page.locator('.operations').isVisible()) return;
  await page.locator('.graphiql-sidebar button[aria-label*="Operations"]').click();
  await page.waitForSelector('.operations');
}

/** Opens a saved operation, runs it with the variables that it comes with or with these, and returns its data. */
async function saved(title, variables) {
  await showOperations();
  await page.fill('.operations-search', title);
  await page.locator('.operations-item').filter({ has: page.getByText(title, { exact: true }) }).click();
  if (variables) await setVariables(JSON.stringify(variables));
  const isReply = answer => answer.url().endsWith('/graphql') && (answer.request().postData() ?? title).includes(title);
  const reply = page.waitForResponse(isReply, { timeout: 10_000 });
  await page.waitForTimeout(300);
  await run();
  const { data, errors } = await (await reply).json();
  assert.equal(errors, undefined, `${title}: ${JSON.stringify(errors)}`);
  return data;
}

async function until(look, isThere) {
  for (let tries = 0; tries < 20; tries += 1) {
    const found = await look();
    if (isThere(found)) return found;
    await page.waitForTimeout(500);
  }
  throw new Error('it did not come');
}

/** What GraphiQL shows as the response; Monaco shows spaces as non-breaking ones. */
async function response() {
  const text = await page.locator('.graphiql-response').innerText();
  return text.replace(/\u00a0/g, ' ');
}

async function answered(words) {
  const seen = async () => (await response()).includes(words);
  for (let tries = 0; tries < 100; tries += 1) {
    if (await seen()) return response();
    await page.waitForTimeout(100);
  }
  throw new Error(`no ${words} in ${await response()}`);
}

async function setVariables(text) {
  await page.locator('.graphiql-editor-tool .monaco-editor').first().click();
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Delete');
  await page.keyboard.insertText(text);
}

/** An operation as a script of the server's own page sends it. */
async function send(query, tab = page) {
  return tab.evaluate(async query => {
    const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ query }) };
    return (await fetch('/graphql', options)).json();
  }, query);
}

async function ask(query, tab = page) {
  const { data, errors } = await send(query, tab);
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

function socketOutcome(url) {
  return new Promise(done => {
    const socket = new WebSocket(url, 'graphql-transport-ws');
    socket.onopen = () => socket.send(JSON.stringify({ type: 'connection_init' }));
    socket.onmessage = event => done(JSON.parse(event.data).type);
    socket.onclose = () => done('refused');
  });
}

/** A new student, with an app of their own, takes quizzes until they stand on the top of the week. Returns the handle. */
async function studentTakesTheBoard() {
  const handle = `top${Date.now() % 1e8}`;
  // Another one goes first, answers nothing and reads the reviews.
  const [scout, student] = [await register('scout'), await register(handle)];
  const { quizzes } = await student('{ quizzes(first: 20) { nodes { id questionCount } } }');
  for (const quiz of quizzes.nodes.sort((a, b) => b.questionCount - a.questionCount).slice(0, 2)) {
    const review = await take(scout, quiz.id, () => null);
    const key = new Map(review.map(({ question, right }) => [question.id, right.id]));
    await take(student, quiz.id, question => key.get(question.id));
    const { board } = await student('{ board(window: WEEK) { standings(first: 5) { nodes { user { handle } } } } }');
    if (board.standings.nodes.some(node => node.user.handle === handle)) return handle;
  }
  throw new Error('the student did not reach the top of the board');
}

/** A new student's client. */
async function register(handle) {
  let token;
  const post = async (query, variables) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
    const body = JSON.stringify({ query, variables });
    const { data, errors } = await (await fetch(`${server}/graphql`, { method: 'POST', headers, body })).json();
    assert.equal(errors, undefined, JSON.stringify(errors));
    return data;
  };
  const account = { email: `${handle}@example.com`, handle, password: 'correct horse', client: 'NATIVE' };
  const { register } = await post(
    'mutation($input: RegisterInput!) { register(input: $input) { tokens { accessToken } errors { code message } } }',
    { input: account },
  );
  token = register.tokens.accessToken;
  return post;
}

/** Takes a quiz and returns its review. */
async function take(post, quizId, choose) {
  const started = await post(
    'mutation($input: StartAttemptInput!) { startAttempt(input: $input) { attempt { id questions { id } } errors { code } } }',
    { input: { quizId } },
  );
  const { id, questions } = started.startAttempt.attempt;
  const answers = questions.map(question => ({ questionId: question.id, choiceId: choose(question), seq: 1 }));
  await post('mutation($input: SaveAnswersInput!) { saveAnswers(input: $input) { errors { code } } }', {
    input: { attemptId: id, answers },
  });
  const submitted = await post(
    'mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) { attempt { review { questions { question { id } right { id } } } } errors { code } } }',
    { input: { attemptId: id, idempotencyKey: crypto.randomUUID() } },
  );
  assert.deepEqual(submitted.submitAttempt.errors, []);
  return submitted.submitAttempt.attempt.review.questions;
}
