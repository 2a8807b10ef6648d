import { FeedForbiddenException, FeedUnauthorizedException } from '../../feed/errors/access.errors.js';
import {
  FeedBodyTooLargeException,
  FeedBrokerException,
  FeedFormatException,
  FeedIdException,
  FeedIdsException,
  FeedMediaTypeException,
  FeedMessageException,
  FeedSinceException,
  FeedTooManyException,
  FeedUnavailableException,
  feedIdRule,
} from '../../feed/errors/feed.errors.js';
import { mostPublished, type PublishAnswer } from '../../feed/feed.controller.js';
import type { ResolvedFeedOptions } from '../../feed/feed.options.js';
import type { Format } from '../../feed/format/format.js';
import { formats, labelled } from '../../feed/format/formats.js';
import { mostFollowed } from '../../feed/http/feed-request.js';
import { contentOf } from '../../feed/message/content.js';
import { PublishedMessage } from '../../feed/message/message.js';
import { json, type Operation, objectOf, type Parameter, type Paths, type Responses, type Schema, schemaNamed } from './openapi.js';
import { refusals } from './refusals.js';

const message = new PublishedMessage('orders/7', 'mwtidezhwgit', 12, 0, 'shipped', '{"parcels":2}', true);

const brokerAway = new FeedBrokerException(5, new Error('The engine does not answer.'));

const published: PublishAnswer = { id: message.id, feed: message.feed, subscribers: 3 };

export const feedSchemas: Record<string, Schema> = {
  FeedId: { type: 'string', pattern: '^[\\w.~:@-]+(/[\\w.~:@-]+)*$', maxLength: 200, description: `A feed's id: ${feedIdRule}.` },
  MessageType: {
    type: 'string',
    pattern: '^[^\\r\\n\\0]+$',
    maxLength: 200,
    description: "What kind of message it is: the `event` field of a server-sent event. `reset` is the service's own.",
  },
  Published: objectOf({
    id: { type: 'string', description: "The message's id: the position after it, for `Last-Event-ID` and `since`." },
    feed: schemaNamed('FeedId'),
    subscribers: { type: 'integer', minimum: 0, description: 'Connections of this process that followed the feed.' },
  } satisfies Record<keyof PublishAnswer, Schema>),
};

const inPath: Parameter = {
  name: 'id',
  in: 'path',
  required: true,
  description: 'A slash in the id may be written as it is, or as `%2F`; an id of more than four segments needs `%2F`.',
  schema: schemaNamed('FeedId'),
  example: message.feed,
};

const inQuery: Parameter = {
  name: 'id',
  in: 'query',
  required: true,
  description: `The feeds, each as an \`id\` of its own: \`?id=a&id=b\`. ${mostFollowed} at most.`,
  schema: { type: 'array', items: schemaNamed('FeedId'), minItems: 1, maxItems: mostFollowed },
  example: [message.feed, 'news'],
};

const following: Parameter[] = [
  {
    name: 'format',
    in: 'query',
    description: 'The format by name, whatever `Accept` says.',
    schema: { type: 'string', enum: formats.map(({ name }) => name) },
  },
  {
    name: 'since',
    in: 'query',
    description:
      "Where to begin: after a message's id or a `Feed-Position`, with all that is kept (`earliest`), or with what comes (`latest`).",
    schema: { type: 'string', pattern: '^(earliest|latest|[a-z0-9]{1,32}-\\d{1,16}(/.*)?)$' },
    example: 'earliest',
  },
  {
    name: 'Last-Event-ID',
    in: 'header',
    description:
      'The id of the last message that came: the feed goes on after it. `EventSource` sends it by itself. It counts before `since`.',
    schema: { type: 'string' },
    example: message.id,
  },
];

const onFollowing =
  'The response stays open, and each message is written as it comes. A client that says where to begin gets what is kept from there on ' +
  'first; where messages are lost, one of the type `reset` tells it. `HEAD` is answered with the head alone.';

/** A response that stays open, with a message as each format writes it. */
function feedAs(write: (format: Format) => Format): Responses {
  return {
    200: {
      description: 'The feed. It ends when the service shuts down, when the token expires, or when the client reads too slowly.',
      headers: {
        'Feed-Position': {
          description: 'The position at which the response begins, for `since`.',
          schema: { type: 'string', pattern: '^[a-z0-9]{1,32}-\\d{1,16}$' },
        },
      },
      content: Object.fromEntries(
        formats.map((format) => [format.mediaType, { schema: { type: 'string' }, example: write(format).encode(message) }]),
      ),
    },
  };
}

function answerOf(schema: Schema, published: object): Responses {
  return { 201: { description: 'It is published.', content: json(schema, { published }) } };
}

/** The routes of feeds, as they are with these options. */
export function feedPaths(path: string, options: ResolvedFeedOptions): Paths {
  const { bodyBytes, jwtSecret, jwksUrl, maxConnectionsPerClient, connectionRatePerClient } = options;
  const takesTokens = jwtSecret !== undefined || jwksUrl !== undefined;
  const limitsClients = Math.min(maxConnectionsPerClient, connectionRatePerClient) < Number.POSITIVE_INFINITY;
  const credentials: Operation['security'] = takesTokens ? [{ bearer: [] }, { cookie: [] }, { query: [] }] : [{ bearer: [] }];

  const reading = { tags: ['feeds'], security: takesTokens ? credentials : [] };
  const readingRefused = [
    new FeedIdException(),
    new FeedSinceException(),
    ...(takesTokens
      ? [new FeedUnauthorizedException('Reading needs a token.'), new FeedForbiddenException('The token is not for reading this.')]
      : []),
    new FeedFormatException(formats.map(({ name }) => name)),
    ...(limitsClients ? [new FeedTooManyException(`A client may have ${maxConnectionsPerClient} connections.`, 5)] : []),
    new FeedUnavailableException('The service is shutting down.', 5),
    brokerAway,
  ];
  const follow: Operation = {
    ...reading,
    operationId: 'follow',
    summary: 'Follow a feed',
    description: onFollowing,
    parameters: [inPath, ...following],
    responses: { ...feedAs((format) => format), ...refusals(...readingRefused) },
  };
  const followMany: Operation = {
    ...reading,
    operationId: 'followMany',
    summary: 'Follow several feeds with one connection',
    description: `${onFollowing} In the format \`text\`, a message's feed and a tab come before its data.`,
    parameters: [inQuery, ...following],
    responses: {
      ...feedAs(labelled),
      ...refusals(...readingRefused, new FeedIdsException('Name the feed in the path, or one or several as ?id=a&id=b.')),
    },
  };

  const publishing = { tags: ['publishing'], security: credentials };
  const publishingRefused = [
    new FeedIdException(),
    refusalOf('a\r'),
    new FeedUnauthorizedException('Publishing needs the publish key or a token.'),
    ...(takesTokens ? [new FeedForbiddenException('The token is not for publishing here.')] : []),
    new FeedBodyTooLargeException(bodyBytes),
    ...(jwksUrl === undefined
      ? []
      : [new FeedUnavailableException('The keys that tokens are verified with cannot be had at the moment.', 5)]),
    brokerAway,
  ];
  const publish: Operation = {
    ...publishing,
    operationId: 'publish',
    summary: 'Publish a message',
    description: 'Everybody who follows the feed gets it, and whoever comes back for it as long as it is kept.',
    parameters: [inPath, { name: 'type', in: 'query', schema: schemaNamed('MessageType'), example: message.type }],
    requestBody: {
      required: true,
      description: `The data: text in UTF-8 without carriage returns, or any JSON value; ${bodyBytes} bytes at most.`,
      content: { 'text/plain': { schema: { type: 'string' }, example: 'hello' }, ...json({}, { object: message.data }) },
    },
    responses: {
      ...answerOf(schemaNamed('Published'), published),
      ...refusals(...publishingRefused, new FeedMediaTypeException('text/plain or application/json')),
    },
  };
  const publishMany: Operation = {
    ...publishing,
    operationId: 'publishMany',
    summary: 'Publish the same to many feeds',
    description:
      'Whoever follows several of them gets it once for each. A request that is refused with 400, 401, 403, 413 or 415 publishes nothing; ' +
      'with 503, some of the feeds may have got it.',
    requestBody: {
      required: true,
      content: json(
        {
          type: 'object',
          required: ['feeds', 'data'],
          additionalProperties: false,
          properties: {
            feeds: { type: 'array', items: schemaNamed('FeedId'), minItems: 1, maxItems: mostPublished },
            type: schemaNamed('MessageType'),
            data: { description: `Any JSON value; ${bodyBytes} bytes at most.` },
          },
        },
        { message: { feeds: [message.feed, 'news'], type: message.type, data: message.data } },
      ),
    },
    responses: {
      ...answerOf(objectOf({ messages: { type: 'array', items: schemaNamed('Published') } }), {
        messages: [published, { ...published, id: 'mwtidezhwgit-13/news', feed: 'news' }],
      }),
      ...refusals(...publishingRefused, new FeedMediaTypeException('application/json')),
    },
  };

  return { [`${path}/{id}`]: { get: follow, post: publish }, [path]: { get: followMany, post: publishMany } };
}

/** What is said of a text that cannot be published. */
function refusalOf(text: string): FeedMessageException {
  try {
    contentOf(text);
  } catch (error) {
    if (error instanceof FeedMessageException) return error;
  }
  throw new Error('this text can be published');
}
