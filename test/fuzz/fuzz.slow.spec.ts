import { writeSync } from 'node:fs';
import { checkTurn, expectNoEscapes, fuzz, patienceMs, report, reportOf, seed } from '../support/fuzz/fuzz.js';
import { conversation } from '../support/fuzz/requests.js';
import { talk } from '../support/fuzz/talk.js';
import { Watched } from '../support/fuzz/watched.js';
import { publishKey } from '../support/post.js';
import { Run } from '../support/run.js';
import { platforms } from '../support/serve.js';

describe(`fuzzing (FUZZ_SEED=${seed})`, () => {
  expectNoEscapes();
  afterEach(() => Run.endAll());
  afterAll(() => {
    writeSync(2, `${reportOf()}\n`);
  });

  const programs = [
    ['the service', 'dist/main.js'],
    ['an application', 'test/support/fuzz/application.mjs'],
  ] as const;

  describe.each(platforms)('requests on %s', (platform) => {
    it.each(programs)(
      '%s answers below 500 or closes',
      async (name, program) => {
        const watched = await Watched.start(program, { FEED_ADAPTER: platform, FEED_PUBLISH_KEY: publishKey });
        const converse = async ({ pieces, hasHead }: { pieces: string[]; hasHead: boolean }) => {
          const answers = await talk(watched.port, pieces, hasHead);
          const wrong = answers.find(({ status }) => status >= 500);
          if (wrong) throw new Error(JSON.stringify(wrong));
        };
        await fuzz(300, conversation, converse);
        await watched.begin();
        const count = await fuzz(1000, conversation, converse, () => {});
        const held = await watched.end();
        report(`requests, ${name} on ${platform}: ${count}, ${held}`);
        checkTurn(name, watched.longestTurnMs);
      },
      patienceMs,
    );
  });
});
