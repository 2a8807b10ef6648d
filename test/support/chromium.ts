import { type Browser, chromium } from 'playwright-core';
import { chromiumArgs, missing } from '../../tools/engines.mjs';

/** Suites that need Chromium. tools/engines.mjs, which the test command runs first, says so where it is missing. */
export const inBrowser = missing().includes('chromium') ? describe.skip : describe;

/**
 * Starts Chromium for the tests of a suite; what one of them has opened is closed behind it.
 *
 * @returns what gives the browser, from the first test on
 */
export function useChromium(): () => Browser {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
  });
  return () => browser;
}
