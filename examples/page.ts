import { readFileSync } from 'node:fs';
import { Controller, Get, Header, type Type } from '@nestjs/common';

const head = readFileSync(new URL('head.html', import.meta.url), 'utf8');

/**
 * Makes a controller that serves an example's page at `/`: the head that all examples share, then its own page.html.
 *
 * @param main the URL of the example's main.ts, which stands beside its page.html
 */
export function pageOf(main: string): Type {
  const own = readFileSync(new URL('page.html', main), 'utf8');

  @Controller()
  class PageController {
    @Get()
    @Header('Content-Type', 'text/html; charset=utf-8')
    page(): string {
      return `<!doctype html>\n<html lang="en">\n${head}${own}</html>\n`;
    }
  }

  return PageController;
}
