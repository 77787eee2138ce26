// An exam goes on whatever happens to the page, the connection and the session.
import { expect, shoot, test } from './site';

const ENGLISH = 'English: the essentials';
const PHYSICS = 'Physics: the essentials';

test('a reload in mid-quiz loses nothing', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await site.sit(context, ENGLISH);
  await page.keyboard.press('1');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('c');
  await page.keyboard.press('m');
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  await page.reload();
  await expect(page.getByText('Question 2 of 20')).toBeVisible();
  await expect(page.locator('.choice.chosen')).toContainText('C');
  await expect(page.getByText('2 of 20 answered')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Question 2, answered, marked for later' })).toBeVisible();
  // An answer that had no time to be sent.
  await page.route('**/graphql', route => route.abort());
  await page.keyboard.press('d');
  await expect(page.locator('.banner.lost')).toBeVisible();
  await page.unroute('**/graphql');
  await page.reload();
  await expect(page.locator('.choice.chosen')).toContainText('D');
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  expect(await site.stored(context, page)).toEqual({ 1: 1, 2: 4 });
  await context.close();
});

test('twenty seconds without a connection lose nothing, and the page says so', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await site.sit(context, ENGLISH);
  await page.keyboard.press('1');
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  await context.setOffline(true);
  const lost = page.locator('.banner.lost');
  await expect(lost).toContainText('No connection');
  for (const key of ['2', '3', '1', '2']) {
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press(key);
  }
  await expect(page.locator('.saved')).toHaveText('4 answers not saved yet');
  await expect(lost).toContainText('4 answers are kept here');
  await expect(page.locator('.answer-state')).toHaveText('Not saved yet');
  await expect(page.locator('.cell.unsaved')).toHaveCount(4);
  await shoot(page, 'offline');
  await page.waitForTimeout(20_000);
  await expect(lost).toBeVisible();
  await context.setOffline(false);
  await expect(lost).toBeHidden();
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  expect(await site.stored(context, page)).toEqual({ 1: 1, 2: 2, 3: 3, 4: 1, 5: 2 });
  await context.close();
});

test('a submit without a connection says what it waits for, and happens once', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await site.sit(context, ENGLISH);
  await page.keyboard.press('1');
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  await context.setOffline(true);
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('2');
  await page.getByRole('button', { name: 'Submit', exact: true }).click();
  await expect(page.getByRole('dialog')).toContainText('1 answer is not saved yet');
  await page.getByRole('button', { name: 'Submit now' }).click();
  const lost = page.locator('.banner.lost');
  await expect(lost).toContainText('Not submitted yet: waiting for a connection');
  // Nothing can be answered any more.
  await page.keyboard.press('3');
  await expect(page.locator('.choice.chosen')).toContainText('B');
  await shoot(page, 'submit-waits');
  const keys: string[] = [];
  let lostReply = true;
  await page.route('**/graphql', async route => {
    const body = route.request().postDataJSON();
    if (body.operationName !== 'SubmitAttempt') return route.continue();
    keys.push(body.variables.input.idempotencyKey);
    // The first reply is lost on its way.
    if (lostReply) {
      lostReply = false;
      await route.fetch();
      return route.abort();
    }
    return route.continue();
  });
  await context.setOffline(false);
  await expect(page.getByTestId('points')).toBeVisible();
  expect(keys.length).toBeGreaterThanOrEqual(2);
  expect(new Set(keys).size).toBe(1);
  await expect(page.getByText('18 blank')).toBeVisible();
  await context.close();
});

test('two tabs do not undo each other', async ({ site, browser }) => {
  const context = await site.student(browser);
  const one = await site.sit(context, ENGLISH);
  const other = await context.newPage();
  await other.goto(one.url());
  await expect(other.locator('.palette')).toBeVisible();
  await one.bringToFront();
  await one.keyboard.press('1');
  await expect(one.locator('.saved')).toHaveText('All answers saved');
  await expect(other.locator('.choice.chosen')).toContainText('A');
  await other.bringToFront();
  await other.keyboard.press('2');
  await expect(one.locator('.choice.chosen')).toContainText('B');
  // A tab that does not hear the other takes what is stored.
  await one.evaluate(() => {
    BroadcastChannel.prototype.postMessage = () => {};
  });
  await one.bringToFront();
  await one.keyboard.press('3');
  await expect(one.locator('.saved')).toHaveText('All answers saved');
  await expect(other.locator('.choice.chosen')).toContainText('B');
  await other.bringToFront();
  await other.keyboard.press('4');
  await expect(other.locator('.choice.chosen')).toContainText('C');
  expect(await site.stored(context, one)).toEqual({ 1: 3 });
  // A submit in one ends the exam in both.
  await other.getByRole('button', { name: 'Submit', exact: true }).click();
  await other.getByRole('button', { name: 'Submit now' }).click();
  await expect(other.getByTestId('points')).toBeVisible();
  await expect(one.getByTestId('points')).toBeVisible();
  await context.close();
});

test('a burst of answers beyond the limit of single saves goes on in batches', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await site.sit(context, 'MDCAT mock: Biology');
  for (let i = 0; i < 40; i += 1) {
    await page.keyboard.press(String((i % 3) + 1));
    await page.keyboard.press('ArrowRight');
    await page.waitForTimeout(30);
  }
  await expect(page.locator('.saved')).toHaveText('All answers saved', { timeout: 20_000 });
  expect(Object.keys(await site.stored(context, page))).toHaveLength(40);
  await context.close();
});

test('the clock warns, runs out, submits and shows the result', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await site.sit(context, PHYSICS);
  await page.keyboard.press('1');
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  const shorten = (seconds: number) =>
    // Microseconds.
    site.sql(`UPDATE attempts SET deadline_at = ${(Date.now() + seconds * 1000) * 1000} WHERE state = 'IN_PROGRESS' AND quiz_id = (SELECT id FROM quizzes WHERE title = '${PHYSICS}')`);
  shorten(200);
  await page.reload();
  await expect(page.locator('.warning')).toHaveText('5 minutes left');
  shorten(9);
  await page.reload();
  await expect(page.locator('.warning')).toHaveText('1 minute left');
  await shoot(page, 'clock');
  await expect(page.getByTestId('points')).toBeVisible({ timeout: 25_000 });
  await expect(page.getByText('23 blank')).toBeVisible();
  await context.close();
});

test('a deadline that passes without a connection is told, and shows the result later', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await site.sit(context, 'Chemistry: the essentials');
  await page.keyboard.press('1');
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  site.sql(`UPDATE attempts SET deadline_at = ${(Date.now() + 6000) * 1000} WHERE state = 'IN_PROGRESS' AND quiz_id = (SELECT id FROM quizzes WHERE title = 'Chemistry: the essentials')`);
  await page.reload();
  await expect(page.locator('.palette')).toBeVisible();
  await context.setOffline(true);
  await expect(page.locator('.banner.lost')).toContainText('Time is up', { timeout: 15_000 });
  await page.waitForTimeout(4000);
  await context.setOffline(false);
  await expect(page.getByText('Time ran out: your saved answers were submitted at the deadline.')).toBeVisible();
  await expect(page.getByText('23 blank')).toBeVisible();
  await context.close();
});

test('an expired sign-in in mid-quiz is refreshed unseen, once for many requests', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await site.sit(context, ENGLISH);
  let refreshes = 0;
  page.on('request', request => {
    if (request.url().endsWith('/auth/refresh')) refreshes += 1;
  });
  await context.clearCookies({ name: 'access_token' });
  await page.keyboard.press('2');
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  expect(refreshes).toBe(1);
  expect(await site.stored(context, page)).toEqual({ 1: 2 });
  await context.clearCookies({ name: 'access_token' });
  await page.goto('/dashboard');
  await expect(page.locator('.facts')).toBeVisible();
  await page.goto('/boards');
  await context.clearCookies({ name: 'access_token' });
  refreshes = 0;
  // Several requests of one page at once.
  await page.goto('/quizzes');
  await expect(page.locator('.cards li').first()).toBeVisible();
  expect(refreshes).toBe(1);
  await context.close();
});

test('a session that was revoked is told, and the exam goes on after signing in', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await site.sit(context, ENGLISH);
  await page.keyboard.press('1');
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  const elsewhere = await browser.newContext({ baseURL: site.url });
  const { viewer } = await site.ask<{ viewer: { email: string } }>(context, '{ viewer { email } }');
  await site.signIn(elsewhere, viewer.email);
  await site.ask(elsewhere, 'mutation { revokeOtherSessions { revokedCount } }');
  await page.keyboard.press('3');
  await expect(page.getByText('Your session has ended')).toBeVisible();
  await shoot(page, 'revoked');
  await page.getByLabel('Email').fill(viewer.email);
  await page.getByLabel('Password', { exact: true }).fill('marmalade-demo');
  await page.keyboard.press('Enter');
  await expect(page.locator('.palette')).toBeVisible();
  await expect(page.locator('.saved')).toHaveText('All answers saved');
  expect(await site.stored(context, page)).toEqual({ 1: 3 });
  await elsewhere.close();
  await context.close();
});
