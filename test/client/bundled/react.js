// A page that is bundled: it shows the newest message of a feed.
import { FeedProvider, useFeed } from 'nestjs-feed/react';
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';

function Newest() {
  const { message } = useFeed('a', { since: 'earliest' });
  return createElement('output', null, message?.data);
}

const provider = createElement(FeedProvider, { options: { url: '/feeds' } }, createElement(Newest));
createRoot(document.getElementById('root')).render(provider);
