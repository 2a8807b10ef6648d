import { firstValueFrom, from, type Observable } from 'rxjs';
import { createFeedClient, type FeedClientMessage, type FeedClientStatus } from '../../src/client/index.js';

it('is taken by from() of RxJS, with its types: what is followed, and the status', async () => {
  const client = createFeedClient({ url: 'http://127.0.0.1:9/feeds' });
  const messages: Observable<FeedClientMessage> = from(client.follow('a'));
  const status: Observable<FeedClientStatus> = from(client.status);
  await expect(firstValueFrom(status)).resolves.toEqual({ state: 'idle' });
  const isOver = firstValueFrom(messages, { defaultValue: undefined });
  client.close();
  await expect(isOver).resolves.toBeUndefined();
});
