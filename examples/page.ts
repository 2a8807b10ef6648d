import { readFileSync } from 'node:fs';
import { Controller, Get, Header, NotFoundException, Param, type Type } from '@nestjs/common';

const read = (url: URL) => readFileSync(url, 'utf8');
const head = read(new URL('head.html', import.meta.url));
/** The client, as it is installed: ES modules, which a browser takes as they are. An application that has a bundler needs none of this. */
const client = import.meta.resolve('nestjs-feed/client');
const script = 'text/javascript; charset=utf-8';

/**
 * Makes a controller that serves an example's page at `/`, the head that all examples share, then its own page.html, and the client that it
 * imports.
 *
 * @param main the URL of the example's main.ts, which stands beside its page.html
 */
export function pageOf(main: string): Type {
  const own = read(new URL('page.html', main));

  @Controller()
  class PageController {
    @Get()
    @Header('Content-Type', 'text/html; charset=utf-8')
    page(): string {
      return `<!doctype html>\n<html lang="en">\n${head}${own}<output id="status" aria-label="Connection"></output>\n</html>\n`;
    }

    @Get('client/:name.js')
    @Header('Content-Type', script)
    client(@Param('name') name: string): string {
      if (!/^[a-z-]+$/.test(name)) throw new NotFoundException();
      return read(new URL(`${name}.js`, client));
    }

    @Get('feed/message/feed-definition.js')
    @Header('Content-Type', script)
    definition(): string {
      return read(new URL('../feed/message/feed-definition.js', client));
    }
  }

  return PageController;
}
