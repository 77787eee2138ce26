// A question of each kind: answered, kept over a reload, refused, and seen in the review.
import type { BrowserContext, Page } from '@playwright/test';
import { type Site, expect, shoot, sound, test } from './site';

const KINDS = 'Physics: five kinds of questions';
const SAVED = 'All answers saved';

const VECTOR = 'Which of these is a vector?';
const UNITS = 'base units of the SI';
const COLLISION = 'an elastic collision conserves';
const REST = 'a velocity of zero';
const CAR = 'A car starts from rest';

/** Opens the question with this text: each attempt has them in an order of its own. */
async function open(page: Page, text: string): Promise<void> {
  const cells = page.locator('.cell');
  for (let i = 0; i < (await cells.count()); i += 1) {
    await cells.nth(i).click();
    if ((await page.locator('.question .text').textContent())?.includes(text)) return;
  }
  throw new Error(`No question says: ${text}`);
}

/** The letter of a choice, by which keys choose it. */
async function letter(page: Page, text: string | RegExp): Promise<string> {
  return (await page.locator('.choice').filter({ hasText: text }).locator('b').textContent()) ?? '';
}

async function stored(site: Site, context: BrowserContext, page: Page): Promise<Record<string, string[]>> {
  type Attempt = {
    questions: { id: string; kind: string; choices: { id: string; text: string }[] }[];
    answers: { questionId: string; choiceIds: string[]; number: string | null }[];
  };
  const id = new URL(page.url()).pathname.split('/').pop();
  const query = 'query($id: ID!) { attempt(id: $id) { questions { id kind choices { id text } } answers { questionId choiceIds number } } }';
  const { attempt } = await site.ask<{ attempt: Attempt }>(context, query, { id });
  return Object.fromEntries(
    attempt.answers.map(({ questionId, choiceIds, number }) => {
      const question = attempt.questions.find(question => question.id === questionId);
      const texts = choiceIds.map(choice => question?.choices.find(({ id }) => id === choice)?.text ?? '?').sort();
      return [question?.kind, number === null ? texts : [number]];
    }),
  );
}

async function submit(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Submit', exact: true }).click();
  await page.getByRole('button', { name: 'Submit now' }).click();
  await expect(page.getByTestId('points')).toBeVisible();
}

test('a question of each kind is answered, kept over a reload, and reviewed', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await site.sit(context, KINDS);
  await open(page, VECTOR);
  await page.locator('.choice').filter({ hasText: 'Speed' }).click();

  // By keys alone: each letter checks a choice, or takes it back.
  await open(page, UNITS);
  await expect(page.getByText('Choose all that apply')).toBeVisible();
  for (const unit of ['Kelvin', 'Volt', 'Kilogram', 'Volt', 'Ampere']) await page.keyboard.press(await letter(page, unit));
  await expect(page.getByRole('checkbox', { checked: true })).toHaveCount(3);
  await shoot(page, 'kind-all');

  await open(page, COLLISION);
  await expect(page.getByText('Choose one answer: several are right')).toBeVisible();
  await page.locator('.choice').filter({ hasText: 'The velocity of each body' }).click();
  await page.locator('.choice').filter({ hasText: 'Kinetic energy' }).click();
  await expect(page.getByRole('radio', { checked: true })).toHaveCount(1);

  await open(page, REST);
  await page.keyboard.press(await letter(page, 'True'));
  await expect(page.locator('.choice.chosen')).toContainText('True');

  // A reload in the middle of a number: what was typed is kept.
  await open(page, CAR);
  await page.getByLabel('Your answer, a number').pressSequentially('2.4');
  await page.reload();
  await expect(page.getByLabel('Your answer, a number')).toHaveValue('2.4');
  await expect(page.locator('.saved')).toHaveText(SAVED);
  await shoot(page, 'kind-number');
  expect(await stored(site, context, page)).toEqual({
    SINGLE_CHOICE: ['Speed'],
    ALL_CHOICES: ['Ampere', 'Kelvin', 'Kilogram'],
    ANY_CHOICE: ['Kinetic energy'],
    TRUE_FALSE: ['True'],
    NUMBER: ['2.4'],
  });
  await open(page, UNITS);
  await expect(page.locator('.choice.chosen')).toHaveCount(3);
  await submit(page);

  await expect(page.getByText('4 right')).toBeVisible();
  await expect(page.getByText('1 wrong')).toBeVisible();
  const reviewed = (text: string) => page.locator('.review > li').filter({ hasText: text });
  const choice = (question: string, text: string | RegExp) => reviewed(question).locator('.choice').filter({ hasText: text });
  await expect(reviewed(VECTOR).locator('.chip')).toContainText('Wrong');
  await expect(choice(VECTOR, 'Speed').locator('.end')).toHaveText('Your answer');
  await expect(choice(VECTOR, 'Velocity').locator('.end')).toHaveText('Right answer');
  await expect(reviewed(UNITS).locator('.chip')).toContainText('Right');
  await expect(reviewed(UNITS).getByText('Your answer, right')).toHaveCount(3);
  await expect(reviewed(UNITS).locator('.end')).toHaveCount(3);
  await expect(reviewed(COLLISION).locator('.chip')).toContainText('Right');
  await expect(choice(COLLISION, 'Kinetic energy').locator('.end')).toHaveText('Your answer, right');
  await expect(choice(COLLISION, /Momentum$|MomentumRight/).locator('.end')).toHaveText('Right answer');
  await expect(choice(REST, 'True').locator('.end')).toHaveText('Your answer, right');
  await expect(reviewed(CAR).locator('.chip')).toContainText('Right');
  await expect(reviewed(CAR).locator('.choice')).toHaveText(['2.4Your answer, right', '2.5 ± 0.1Right answer']);
  await shoot(page, 'kind-review');
  await context.close();
});

test('an answer that can not be saved says what to do, and does not hold up the others', async ({ site, browser }) => {
  const context = await site.student(browser);
  const page = await site.sit(context, KINDS);
  const saved = page.locator('.saved');
  const state = page.locator('.answer-state');
  const field = page.getByLabel('Your answer, a number');
  await open(page, CAR);
  // The student types on in a number that is saved meanwhile, in Urdu's digits.
  await field.pressSequentially('۲٫۰');
  await expect(saved).toHaveText(SAVED);
  await field.pressSequentially('۵');
  await expect(field).toHaveValue('۲٫۰۵');
  await field.press('Enter');
  await expect(saved).toHaveText(SAVED);
  await expect.poll(() => stored(site, context, page)).toEqual({ NUMBER: ['2.05'] });
  await field.fill('1,000');
  await field.press('Enter');
  await expect(state).toContainText('Write it in digits with a point');
  await expect(field).toHaveAttribute('aria-invalid', 'true');
  await expect(saved).toHaveText('1 answer not saved: change it');
  await page.reload();
  await expect(field).toHaveValue('1,000');
  await expect(state).toContainText('Write it in digits with a point');

  // The server refuses what another release of the page might send.
  await page.route('**/graphql', async route => {
    const body = route.request().postDataJSON();
    if (body.operationName !== 'SaveAnswer') return route.continue();
    const { choiceId, ...input } = body.variables.input;
    await route.continue({ postData: JSON.stringify({ ...body, variables: { input: { ...input, choiceIds: [choiceId] } } }) });
  });
  await open(page, VECTOR);
  await page.keyboard.press(await letter(page, 'Velocity'));
  await expect(state).toContainText('Reload the page to try again');
  await expect(saved).toHaveText('2 answers not saved: change them');
  await expect(page.locator('.cell.unsaved')).toHaveCount(2);
  await expect(page.locator('.banner')).toHaveCount(0);
  await shoot(page, 'kind-refused');
  await page.unroute('**/graphql');
  await open(page, REST);
  await page.keyboard.press(await letter(page, 'False'));
  await expect(state).toHaveText('Saved');

  // In a batch, too, beside one that is saved.
  await context.setOffline(true);
  await open(page, COLLISION);
  await page.keyboard.press(await letter(page, /Momentum/));
  await open(page, UNITS);
  await page.keyboard.press(await letter(page, 'Volt'));
  await page.route('**/graphql', async route => {
    const body = route.request().postDataJSON();
    if (body.operationName !== 'SaveAnswers') return route.continue();
    const [first, ...others] = body.variables.input.answers;
    const answers = [{ questionId: first.questionId, seq: first.seq, number: '1' }, ...others];
    await route.continue({ postData: JSON.stringify({ ...body, variables: { input: { ...body.variables.input, answers } } }) });
  });
  await context.setOffline(false);
  await expect(saved).toHaveText('3 answers not saved: change them');
  expect(await stored(site, context, page)).toEqual({ NUMBER: ['2.05'], TRUE_FALSE: ['False'], ALL_CHOICES: ['Volt'] });
  await page.unroute('**/graphql');

  // Changed, they are saved; the rest is submitted without them.
  await open(page, VECTOR);
  await page.keyboard.press(await letter(page, 'Mass'));
  await expect(state).toHaveText('Saved');
  await page.getByRole('button', { name: 'Submit', exact: true }).click();
  await expect(page.getByRole('dialog')).toContainText('2 answers could not be saved');
  await page.getByRole('button', { name: 'Submit now' }).click();
  await expect(page.getByTestId('points')).toBeVisible();
  await expect(page.getByText('1 blank')).toBeVisible();
  await context.close();
});

const PICTURED = 'Physics: with pictures';

/** Staff publish a quiz that asks for all right choices, then for a number, each with a picture. */
async function publishWithPictures(site: Site, editor: BrowserContext, png: Buffer): Promise<void> {
  const change = async <Payload>(name: string, type: string, input: object, wanted: string): Promise<Payload> => {
    const query = `mutation($input: ${type}!) { ${name}(input: $input) { ${wanted} errors { path message } } }`;
    const data = await site.ask<Record<string, Payload & { errors: object[] }>>(editor, query, { input: { ...input, reason: 'For a test.' } });
    expect(data[name]?.errors).toEqual([]);
    return data[name] as Payload;
  };
  const altText = 'A page with a formula and four choices';
  const upload = { altText, content: png.toString('base64') };
  const { picture } = await change<{ picture: { id: string } }>('uploadPicture', 'UploadPictureInput', upload, 'picture { id }');
  type Made = { quiz: { id: string; draft: { id: string; version: number } } };
  const made = { title: PICTURED, subject: 'Physics', durationSeconds: 600 };
  const { quiz } = await change<Made>('createQuiz', 'CreateQuizInput', made, 'quiz { id draft { id version } }');
  const questions = [
    { kind: 'ALL_CHOICES', choices: [{ text: 'One', isRight: true }, { text: 'Two', isRight: true }, { text: 'Three' }] },
    { kind: 'NUMBER', rightNumber: '9.81' },
  ];
  let { version } = quiz.draft;
  for (const question of questions) {
    const input = { draftId: quiz.draft.id, version, text: 'What does the picture show?', pictureId: picture.id, ...question };
    const { draft } = await change<{ draft: { version: number } }>('addQuestion', 'AddQuestionInput', input, 'draft { version }');
    version = draft.version;
  }
  await change('publishQuiz', 'PublishQuizInput', { quizId: quiz.id, draftVersion: version }, 'quiz { id }');
}

test('pictures and kinds are sound on a phone in Urdu, from right to left', async ({ site, browser }) => {
  const editor = await browser.newContext({ baseURL: site.url });
  await site.signIn(editor, 'editor@demo.example');
  const canvas = await editor.newPage();
  await canvas.goto('/');
  await publishWithPictures(site, editor, await canvas.screenshot());
  await editor.close();
  const phone = { locale: 'ur-PK', viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, colorScheme: 'dark' } as const;
  const context = await site.student(browser, phone);
  const page = await site.sit(context, PICTURED);
  await expect(page.locator('html[dir=rtl]')).toBeAttached();
  const picture = page.getByRole('img', { name: 'A page with a formula and four choices' });
  // It was fetched, whatever the policy of contents says, and stands in its own proportions.
  const isDrawn = () => picture.first().evaluate((img: HTMLImageElement) => img.naturalWidth / img.naturalHeight / (img.clientWidth / img.clientHeight));
  await expect.poll(isDrawn).toBeCloseTo(1, 1);
  await page.locator('.choice').filter({ hasText: 'One' }).tap();
  await page.locator('.choice').filter({ hasText: 'Two' }).tap();
  await sound(page, 'kinds-ur-all');
  await page.locator('.cell').nth(1).tap();
  await page.getByRole('textbox').fill('9,81');
  await page.getByRole('textbox').blur();
  await expect(page.locator('.answer-state .unsaved')).toBeVisible();
  await sound(page, 'kinds-ur-no-number');
  await page.getByRole('textbox').fill('۹٫۸۱');
  await page.getByRole('textbox').blur();
  await expect(page.locator('.saved')).not.toHaveClass(/not/);
  await page.locator('aside .button.primary').tap();
  await page.locator('dialog .primary').tap();
  await expect(page.getByTestId('points')).toHaveText('2');
  await expect(picture).toHaveCount(2);
  await expect(page.locator('.choice.right')).toHaveCount(4);
  await expect.poll(isDrawn).toBeCloseTo(1, 1);
  await sound(page, 'kinds-ur-result');
  await context.close();
});
