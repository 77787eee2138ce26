// Each page, in both languages and both ways round: no serious fault of accessibility, and every state seen.
import { expect, sound, test } from './site';

const FORMS = [
  { name: 'desktop-light-en', options: { locale: 'en-GB', viewport: { width: 1280, height: 850 }, colorScheme: 'light' } },
  { name: 'phone-dark-ur', options: { locale: 'ur-PK', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' } },
] as const;

for (const { name, options } of FORMS) {
  test(`axe finds no serious fault on any page of a visitor: ${name}`, async ({ site, browser }) => {
    const anyone = await browser.newContext({ baseURL: site.url, ...options });
    const page = await anyone.newPage();
    const direction = name.endsWith('ur') ? 'rtl' : 'ltr';
    for (const path of ['/', '/sign-in', '/register', '/reset-password', '/reset-password#token=x', '/confirm-email', '/confirm-registration#token=x', '/quizzes', '/boards', '/dashboard', '/quizzes/nothing']) {
      await page.goto('about:blank');
      await page.goto(path);
      await expect(page.locator(`html[dir=${direction}]`)).toBeAttached();
      await expect(page.locator('main .loading')).toHaveCount(0);
      await sound(page, `${name}-anyone${path.replace(/\W+/g, '-')}`);
    }
    await anyone.close();
  });

  test(`axe finds no serious fault on any page of a student: ${name}`, async ({ site, browser }) => {
    const context = await site.student(browser, options);
    const exam = await site.sit(context, 'English: the essentials');
    await exam.keyboard.press('1');
    await exam.keyboard.press('m');
    await expect(exam.locator('.saved')).toHaveAttribute('data-pending', '0');
    await sound(exam, `${name}-exam`);
    await exam.locator('aside input').check();
    await sound(exam, `${name}-exam-all`);
    await exam.locator('aside .button.primary').click();
    await sound(exam, `${name}-confirm`);
    await exam.locator('dialog .primary').click();
    await expect(exam.getByTestId('points')).toBeVisible();
    await sound(exam, `${name}-result`);
    const quiz = await exam.locator('main a').first().getAttribute('href');
    for (const path of [quiz ?? '', '/quizzes', '/quizzes?q=nothing-is-called-so', '/dashboard', '/boards', '/account']) {
      await exam.goto(path);
      await expect(exam.locator('main .loading')).toHaveCount(0);
      await sound(exam, `${name}-student${path.replace(/\W+/g, '-').slice(0, 20)}`);
    }
    await context.close();
  });
}

test('pages say that they load, that there is nothing, that they failed and that they are refused', async ({ site, browser }) => {
  const context = await browser.newContext({ baseURL: site.url });
  const page = await context.newPage();
  for (const path of ['/dashboard', '/account', '/attempts/nothing']) {
    await page.goto(path);
    await expect(page.getByText('Sign in to see this page')).toBeVisible();
  }
  await site.signIn(context, 'student1@demo.example');
  await page.goto('/dashboard');
  await expect(page.getByText('Your progress begins with your first quiz.')).toBeVisible();
  await page.goto('/attempts/nothing');
  await expect(page.getByText('This page does not exist, or is not yours to see.')).toBeVisible();
  await page.goto('/quizzes/nothing');
  await expect(page.getByText('This page does not exist, or is not yours to see.')).toBeVisible();
  await page.goto('/quizzes');
  await page.getByLabel('Search').fill('nothing is called so');
  await expect(page.getByText('No quiz matches.')).toBeVisible();
  await page.getByRole('button', { name: 'Clear the filters' }).click();
  await expect(page.getByRole('link', { name: 'English: the essentials' })).toBeVisible();
  await page.getByLabel('Subject').selectOption('Chemistry');
  await expect(page.locator('.cards li')).toHaveCount(1);
  await page.getByLabel('Length').selectOption('Up to 20 minutes');
  await expect(page.getByText('No quiz matches.')).toBeVisible();
  // Slow, then broken, then well again.
  let how: 'slow' | 'broken' | 'limited' | 'well' = 'slow';
  await page.route('**/graphql', async route => {
    if (route.request().postDataJSON().operationName === 'Viewer' || how === 'well') return route.continue();
    if (how === 'slow') await new Promise(done => setTimeout(done, 1500));
    const errors = { slow: null, broken: { code: 'INTERNAL', requestId: 'r-1' }, limited: { code: 'RATE_LIMITED', retryAfter: 7 } }[how];
    if (!errors) return route.continue();
    return route.fulfill({ json: { data: null, errors: [{ message: 'no', extensions: errors }] } });
  });
  for (const path of ['/dashboard', '/account', '/quizzes']) {
    how = 'slow';
    await page.goto(path);
    await expect(page.locator('main .loading').first()).toBeVisible();
    how = 'broken';
    await page.goto(path);
    await expect(page.getByText('Something went wrong on our side.').first()).toBeVisible();
    await expect(page.getByText('Request r-1').first()).toBeVisible();
    how = 'well';
    await page.getByRole('button', { name: 'Try again' }).first().click();
    await expect(page.getByText('Something went wrong on our side.')).toHaveCount(0);
  }
  how = 'limited';
  await page.goto('/dashboard');
  await expect(page.getByText('Try again in 7 seconds.')).toBeVisible();
  await context.close();
});

test('keyboard alone takes a whole quiz', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await context.newPage();
  await page.goto('/quizzes?q=English');
  await expect(page.locator('.cards li')).toHaveCount(1);
  const reach = async (name: RegExp) => {
    for (let i = 0; i < 40; i += 1) {
      await page.keyboard.press('Tab');
      const text = await page.evaluate(() => document.activeElement?.textContent ?? '');
      if (name.test(text)) return;
    }
    throw new Error(`${name} was not reached`);
  };
  await reach(/^English: the essentials$/);
  await page.keyboard.press('Enter');
  await expect(page.getByText('Right / wrong / blank')).toBeVisible();
  await reach(/^Start/);
  await page.keyboard.press('Enter');
  await expect(page.locator('.palette')).toBeVisible();
  for (let i = 0; i < 20; i += 1) {
    await page.keyboard.press('ABCD'[i % 4] ?? 'A');
    if (i === 3) await page.keyboard.press('m');
    if (i < 19) await page.keyboard.press('ArrowRight');
  }
  await page.keyboard.press('ArrowLeft');
  await expect(page.getByText('Question 19 of 20')).toBeVisible();
  await expect(page.getByText('20 of 20 answered')).toBeVisible();
  await reach(/^Submit$/);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog')).toContainText('You have answered every question.');
  await expect(page.getByRole('dialog')).toContainText('1 question is marked for later.');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('points')).toBeVisible();
  await expect(page.getByText('0 blank')).toBeVisible();
  await context.close();
});
