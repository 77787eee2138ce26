// Accounts: from the registration to the deletion, the links of emails, and what is left in a browser afterwards.
import { writeFileSync } from 'node:fs';
import { expect, test } from './site';

const PASSWORD = 'a-long-enough-one';

test('a student registers, forgets the password, resets it by the link, and deletes the account', async ({ site, browser }) => {
  const context = await browser.newContext({ baseURL: site.url });
  const page = await context.newPage();
  await page.goto('/');
  await page.getByRole('link', { name: 'Create a free account' }).click();
  // What is wrong is said beside its field, and nothing typed is lost.
  await page.getByLabel('Email').fill('zara@exam.example');
  await page.getByLabel('Name on boards').fill('zara');
  await page.getByLabel('Password', { exact: true }).fill('short');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.locator('.error')).toBeVisible();
  await expect(page.getByLabel('Email')).toHaveValue('zara@exam.example');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.keyboard.press('Enter');
  await expect(page.locator('.cards li').first()).toBeVisible();

  await page.getByRole('link', { name: 'Account' }).click();
  await page.getByRole('button', { name: 'Send a confirmation link' }).click();
  await page.goto(await site.link('zara@exam.example'));
  await expect(page).toHaveURL(`${site.url}/confirm-email`);
  await page.getByRole('button', { name: 'Confirm' }).click();
  await expect(page.getByText('Your email is confirmed')).toBeVisible();
  await page.getByRole('main').getByRole('link', { name: 'Account' }).click();
  await expect(page.getByText('Confirmed', { exact: true })).toBeVisible();

  await page.getByLabel('Name on boards').fill('zara_two');
  await page.getByRole('button', { name: 'Save' }).first().click();
  await expect(page.getByText('Saved.')).toBeVisible();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download' }).click();
  expect((await download).suggestedFilename()).toBe('marmalade-account.json');

  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('heading', { name: 'Practise like it is the exam' })).toBeVisible();
  await page.goto('/reset-password');
  await page.getByLabel('Email').fill('zara@exam.example');
  await page.keyboard.press('Enter');
  await expect(page.getByText('Check your email')).toBeVisible();
  await expect.poll(() => site.link('zara@exam.example')).toContain('/reset-password#token=');
  const link = await site.link('zara@exam.example');
  await page.goto(link);
  await page.getByLabel('New password').fill('another-long-one');
  await page.keyboard.press('Enter');
  await expect(page.getByText('Your password is changed')).toBeVisible();
  // A link works once, and the page offers another.
  await page.goto('about:blank');
  await page.goto(link);
  await page.getByLabel('New password').fill('a-third-long-one');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('alert')).toBeVisible();

  await page.goto('/sign-in?next=//elsewhere.example/');
  await page.getByLabel('Email').fill('zara@exam.example');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('alert')).toBeVisible();
  await page.getByLabel('Password', { exact: true }).fill('another-long-one');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(`${site.url}/quizzes`);
  await page.goto('/account');
  await page.getByText('I want to delete my account').click();
  const danger = page.locator('.card.danger');
  await danger.getByLabel('Password', { exact: true }).fill('another-long-one');
  await danger.getByRole('button', { name: 'Delete for good' }).click();
  await expect(page.getByRole('heading', { name: 'Practise like it is the exam' })).toBeVisible();
  await context.close();
});

test('sessions are listed and ended', async ({ site, browser }) => {
  const context = await site.student(browser);
  const { viewer } = await site.ask<{ viewer: { email: string } }>(context, '{ viewer { email } }');
  const elsewhere = await browser.newContext({ baseURL: site.url });
  await site.signIn(elsewhere, viewer.email);
  const page = await context.newPage();
  await page.goto('/account');
  await page.getByRole('button', { name: 'End', exact: true }).first().click();
  await expect(page.getByText('You are signed in here only.')).toBeVisible();
  const other = await elsewhere.newPage();
  await other.goto('/dashboard');
  await expect(other.getByText('Sign in to see this page')).toBeVisible();
  await elsewhere.close();
  await context.close();
});

test('no script reaches a token, and nothing of a student is left after signing out', async ({ site, browser }) => {
  const context = await site.student(browser);
  const bodies: Promise<string>[] = [];
  context.on('response', response => bodies.push(response.text().catch(() => '')));
  const page = await site.sit(context, 'English: the essentials');
  const tokens = (await context.cookies()).filter(cookie => cookie.name.includes('token'));
  expect(tokens.length).toBe(3);
  expect(tokens.every(cookie => cookie.httpOnly && cookie.sameSite === 'Strict')).toBe(true);
  await page.keyboard.press('1');
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  await page.getByRole('button', { name: 'اردو' }).click();
  await expect(page.locator('html[lang=ur]')).toBeAttached();
  const reachable = () =>
    page.evaluate(async () => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }, await indexedDB.databases(), (await caches.keys()) as unknown]));
  const during = await reachable();
  for (const { value } of tokens) expect(during).not.toContain(value);
  expect(during).toContain('attempt:');
  await page.goto('/account');
  await page.getByRole('button', { name: 'سائن آؤٹ' }).click();
  await expect(page.locator('h1')).toBeVisible();
  await expect.poll(async () => (await context.cookies()).map(cookie => cookie.name)).toEqual(['device_token']);
  // The language is the device's.
  expect(await reachable()).toBe(JSON.stringify(['', { language: 'ur' }, {}, [], []]));
  const seen = (await Promise.all(bodies)).join('\n');
  for (const { value } of tokens) expect(seen).not.toContain(value);
  await context.close();
});

test('the policy blocks a planted script, and a hostile bank runs nothing', async ({ site, browser }) => {
  const context = await site.student(browser);
  const bank = `${site.folder}/hostile.gift`;
  writeFileSync(
    bank,
    `::one:: <script>window.planted\\=1</script> <img src\\=x onerror\\="window.planted\\=2"> [a link](javascript\\:window.planted\\=3) $x^2$ {
=[right](javascript\\:alert\\(1\\)) ~\\$\\\\def\\\\a\\{\\\\a\\\\a\\}\\\\a\\$ }
`,
  );
  let title = 'A hostile quiz';
  try {
    site.import(title, bank);
  } catch {
    // The import refuses what is HTML: what is left comes from a bank of before.
    title = '';
  }
  if (!title) {
    writeFileSync(bank, '::one:: plain $x^2$ { =right ~wrong }\n');
    title = 'A hostile quiz';
    site.import(title, bank);
    const text = '<script>window.planted=1</script> <img src=x onerror="window.planted=2"> [a link](javascript:window.planted=3) ![p](https://elsewhere.example/p.png) $x^2$ and $\\def\\a{\\a\\a}\\a$ and $\\href{javascript:window.planted=4}{y}$';
    site.sql(`UPDATE questions SET text = '${text}' WHERE text LIKE 'plain%'`);
  }
  const page = await context.newPage();
  const refused: string[] = [];
  page.on('console', message => refused.push(message.text()));
  await page.goto('/');
  // Planted by whatever way: the page's policy has no inline script, no eval, no other host.
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.planted = "inline"';
    document.body.append(script);
    const other = document.createElement('script');
    other.src = 'data:text/javascript,window.planted="data"';
    document.body.append(other);
    document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.planted=\'handler\'"><a id=trap href="javascript:window.planted=\'link\'">x</a>');
    document.getElementById('trap')?.click();
  });
  await page.waitForTimeout(300);
  const planted = () => page.evaluate(() => (window as unknown as { planted: unknown }).planted ?? null);
  expect(await planted()).toBeNull();
  expect(refused.filter(text => text.includes('Content Security Policy')).length).toBeGreaterThanOrEqual(3);
  const exam = await site.sit(context, title);
  await expect(exam.locator('.text math').first()).toBeAttached();
  await exam.waitForTimeout(500);
  expect(await exam.evaluate(() => (window as unknown as { planted: unknown }).planted ?? null)).toBeNull();
  expect(await exam.locator('.text script, .text img, .text a').count()).toBe(0);
  await expect(exam.locator('.text')).toContainText('<script>window.planted=1</script>');
  await context.close();
});
