// Ranks move while others submit.
import { writeFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import { expect, shoot, test } from './site';

test('two students take a quiz, and each sees the other\'s submit move the board within two seconds', async ({ site, browser }) => {
  // Nobody has taken this one, so both are ranked.
  const rows = Array.from({ length: 4 }, (_, i) => `Question ${i + 1}?,right,wrong,other,A`);
  const bank = `${site.folder}/fresh.csv`;
  writeFileSync(bank, ['Question,A,B,C,Answer', ...rows].join('\n'));
  site.import('A fresh quiz', bank);
  const contexts = [await site.student(browser), await site.student(browser)] as const;
  const watchers: Page[] = [];
  for (const context of contexts) {
    const page = await context.newPage();
    await page.goto('/boards');
    await page.getByRole('button', { name: 'All time' }).click();
    await expect(page.locator('.live.on')).toBeVisible();
    await page.waitForTimeout(500);
    watchers.push(page);
  }
  const handles = await Promise.all(contexts.map(async context => (await site.ask<{ viewer: { handle: string } }>(context, '{ viewer { handle } }')).viewer.handle));
  for (const [i, context] of contexts.entries()) {
    const exam = await site.sit(context, 'A fresh quiz');
    for (let question = 0; question < 4; question += 1) {
      await exam.keyboard.press('1');
      await exam.keyboard.press('ArrowRight');
    }
    await expect(exam.locator('.saved')).toHaveText('All answers saved');
    const other = watchers[1 - i];
    const mine = watchers[i];
    if (!other || !mine) throw new Error('no page');
    const before = await mine.getByTestId('own-points').innerText();
    const total = async () => Number(before) + 4;
    await exam.getByRole('button', { name: 'Submit', exact: true }).click();
    const submitted = exam.waitForResponse(response => response.request().postData()?.includes('SubmitAttempt') ?? false);
    // What the other one's page shows of it: the standing among the first, or around.
    await exam.getByRole('button', { name: 'Submit now' }).click();
    await submitted;
    const began = Date.now();
    await expect(mine.getByTestId('own-points')).toHaveText(String(await total()), { timeout: 2000 });
    const seen = `${handles[i]}`;
    await expect
      .poll(
        async () => {
          const texts = await other.locator('.standings tr', { hasText: seen }).allInnerTexts();
          return texts.some(text => text.replace(/\s+/g, ' ').trim().endsWith(String(Number(before) + 4))) || texts.length === 0;
        },
        { timeout: Math.max(200, 2000 - (Date.now() - began)) },
      )
      .toBe(true);
    console.log(`the board moved ${Date.now() - began} ms after the reply`);
    await exam.close();
  }
  const [one] = watchers;
  if (one) await shoot(one, 'boards');
  for (const context of contexts) await context.close();
});
