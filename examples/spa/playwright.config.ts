import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: 'tests',
  // One server for each; a machine of continuous integration has two cores.
  workers: Number(process.env.WORKERS ?? 2),
  fullyParallel: false,
  timeout: 90_000,
  expect: { timeout: 12_000 },
  reporter: [['list']],
  use: {
    locale: 'en-GB',
    viewport: { width: 1200, height: 850 },
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      // There is no network but this machine.
      args: ['--no-sandbox', '--disable-gpu', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1'],
    },
  },
});
