// An application that is bundled: it says what it has read of the feeds at the URL that it is called with.
import { createFeedClient } from 'nestjs-feed/client';

const client = createFeedClient({ url: process.argv[2] });
for await (const { data } of client.follow('a', { since: 'earliest' })) {
  console.log(data);
  break;
}
// The rest is loaded when it is needed.
const { messages } = await client.history('a');
console.log(messages.length);
client.close();
