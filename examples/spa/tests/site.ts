// A site of the tests' own: a server on an empty folder with demo content, and students in browsers.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import AxeBuilder from '@axe-core/playwright';
import { type Browser, type BrowserContext, type Page, test as base, expect } from '@playwright/test';

const PROGRAM = process.env.MARMALADE ?? fileURLToPath(new URL('../../../target/debug/marmalade', import.meta.url));
const PASSWORD = 'marmalade-demo';

export class Site {
  #process: ChildProcess | undefined;
  #students = 1;

  private constructor(
    readonly url: string,
    readonly folder: string,
  ) {}

  static async start(): Promise<Site> {
    const folder = mkdtempSync(join(tmpdir(), 'marmalade-web-'));
    const child = spawn(PROGRAM, [], {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        MARMALADE_LISTEN: '127.0.0.1:0',
        MARMALADE_DATA_DIR: join(folder, 'data'),
        MARMALADE_LOG: 'warn',
        // All students of the tests come from one address.
        MARMALADE_LIMIT_REQUESTS: '100000/60s',
        MARMALADE_LIMIT_SUBMITS: '100/60s',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const url = await new Promise<string>((found, failed) => {
      let printed = '';
      child.once('exit', code => failed(new Error(`the server ended with ${code}`)));
      child.stdout?.on('data', data => {
        printed += data;
        const match = /serves on (http:\S+)/.exec(printed);
        if (match?.[1]) found(match[1]);
      });
    });
    const site = new Site(url, folder);
    site.#process = child;
    return site;
  }

  stop(): void {
    this.#process?.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A student of the demo content whom no other test has, signed in. Only the first has taken nothing yet. */
  async student(browser: Browser, options: Parameters<Browser['newContext']>[0] = {}): Promise<BrowserContext> {
    this.#students += 1;
    const context = await browser.newContext({ baseURL: this.url, ...options });
    await this.signIn(context, `student${this.#students}@demo.example`);
    return context;
  }

  async signIn(context: BrowserContext, email: string): Promise<void> {
    const reply = await context.request.post(`${this.url}/graphql`, {
      headers: { origin: this.url },
      data: {
        query: 'mutation($input: SignInInput!) { signIn(input: $input) { viewer { id } errors { message } } }',
        variables: { input: { email, password: PASSWORD } },
      },
    });
    expect((await reply.json()).data.signIn.viewer).not.toBeNull();
  }

  /** What a student asks of the API, as the browser's pages do. */
  async ask<Data = Record<string, unknown>>(context: BrowserContext, query: string, variables: object = {}): Promise<Data> {
    const reply = await context.request.post(`${this.url}/graphql`, { headers: { origin: this.url }, data: { query, variables } });
    const body = await reply.json();
    expect(body.errors, JSON.stringify(body.errors)).toBeUndefined();
    return body.data;
  }

  /** Starts a quiz by its title and opens it. */
  async sit(context: BrowserContext, title: string): Promise<Page> {
    const { quizzes } = await this.ask<{ quizzes: { nodes: { id: string; title: string }[] } }>(context, '{ quizzes(first: 50) { nodes { id title } } }');
    const quizId = quizzes.nodes.find(quiz => quiz.title === title)?.id;
    const { startAttempt } = await this.ask<{ startAttempt: { attempt: { id: string } } }>(
      context,
      'mutation($input: StartAttemptInput!) { startAttempt(input: $input) { attempt { id } errors { message } } }',
      { input: { quizId } },
    );
    const page = await context.newPage();
    await page.goto(`/attempts/${startAttempt.attempt.id}`);
    await expect(page.locator('.palette')).toBeVisible();
    return page;
  }

  /** The answers that the server has of an attempt, as places of the questions with their choices. */
  async stored(context: BrowserContext, page: Page): Promise<Record<number, number>> {
    const id = new URL(page.url()).pathname.split('/').pop();
    const { attempt } = await this.ask<{
      attempt: { questions: { id: string; number: number; choices: { id: string }[] }[]; answers: { questionId: string; choiceId: string | null }[] };
    }>(context, 'query($id: ID!) { attempt(id: $id) { questions { id number choices { id } } answers { questionId choiceId } } }', { id });
    const stored: Record<number, number> = {};
    for (const answer of attempt.answers) {
      const question = attempt.questions.find(question => question.id === answer.questionId);
      if (question && answer.choiceId) stored[question.number] = question.choices.findIndex(choice => choice.id === answer.choiceId) + 1;
    }
    return stored;
  }

  /** Changes the database behind the server: nothing else makes an exam end in seconds. */
  sql(statement: string): void {
    const script = 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1], timeout=20); db.execute(sys.argv[2]); db.commit()';
    execFileSync('python3', ['-c', script, join(this.folder, 'data/marmalade.db'), statement]);
  }

  /** Imports a question bank and publishes it. */
  import(title: string, bank: string): void {
    const env = { PATH: process.env.PATH, MARMALADE_DATA_DIR: join(this.folder, 'data'), MARMALADE_LOG: 'warn' };
    execFileSync(PROGRAM, ['import', bank, '--quiz', title, '--subject', 'Biology', '--publish'], { cwd: this.folder, env });
  }

  /** The newest link of the emails to an address, as soon as there is one, at the port that the server has. */
  async link(address: string): Promise<string> {
    let link = '';
    await expect
      .poll(() => {
        const folder = join(this.folder, 'data/mail');
        const written = (name: string) => statSync(join(folder, name)).mtimeMs;
        for (const name of readdirSync(folder).sort((one, other) => written(one) - written(other))) {
          const text = readFileSync(join(folder, name), 'utf8').replace(/=\r?\n/g, '').replaceAll('=3D', '=');
          if (text.includes(address)) link = /https?:\/\/[^/\s]+(\/\S+#token=\S+)/.exec(text)?.[1] ?? link;
        }
        return link;
      })
      .not.toBe('');
    return this.url + link;
  }
}

export const test = base.extend<object, { site: Site }>({
  site: [
    async ({}, use) => {
      const site = await Site.start();
      await use(site);
      site.stop();
    },
    { scope: 'worker', timeout: 120_000 },
  ],
});

export { expect };

/** Keeps a picture if SCREENSHOTS names a folder. */
export async function shoot(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** Finds no serious fault of accessibility, and nothing wider than the page. */
export async function sound(page: Page, name: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']).analyze();
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  expect(serious.map(({ id, nodes }) => `${name}: ${id}: ${nodes.map(node => node.html).join(' ').slice(0, 300)}`)).toEqual([]);
  // Nothing is wider than the page.
  const excess = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(excess, `${name} is too wide`).toBeLessThanOrEqual(0);
  await shoot(page, name);
}
