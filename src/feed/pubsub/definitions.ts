import type { StandardSchemaV1 } from '@standard-schema/spec';
import { FeedException, type FeedIssue } from '../errors/feed-exception.js';
import { FeedOptionsError } from '../errors/feed-options.error.js';
import { isPublishable, type Serialise } from '../message/content.js';
import type { FeedDescription, FeedRef } from '../message/feed-definition.js';
import type { Content } from '../message/message.js';

/** The key of messages without a type. */
export const untyped = 'message';
/** The most issues that one error has. */
const mostIssues = 20;

/** Finds the definition of a feed, and checks what is published to it. */
export class Definitions {
  private readonly byFeed = new Map<string, FeedDescription>();
  /** Those with parameters; of two that match a feed, the one whose first different segment is none comes first. */
  private readonly byForm: { readonly form: RegExp; readonly order: string; readonly definition: FeedDescription }[] = [];

  /** @throws FeedOptionsError for two definitions of the same feeds, and a type that cannot be published */
  constructor(readonly all: readonly FeedDescription[]) {
    const known = new Map<string, string>();
    for (const definition of all) {
      const { pattern, messages } = definition;
      const segments = pattern.split('/');
      const form = segments.map((segment) => (segment.startsWith(':') ? '[^/]+' : segment.replaceAll('.', '\\.'))).join('/');
      const same = known.get(form);
      if (same !== undefined) throw wrong(`defines the same feeds twice: "${same}" and "${pattern}"`);
      known.set(form, pattern);
      for (const type of Object.keys(messages)) {
        if (!isPublishable(type)) throw wrong(`has a type in "${pattern}" that cannot be published: "${type}"`);
      }
      const order = segments.map((segment) => Number(segment.startsWith(':'))).join('');
      if (order.includes('1')) this.byForm.push({ form: new RegExp(`^${form}$`), order, definition });
      else this.byFeed.set(pattern, definition);
    }
    this.byForm.sort((one, other) => (one.order < other.order ? -1 : 1));
  }

  /** The definition of a feed; undefined where it has none. */
  of(feed: string): FeedDescription | undefined {
    const own = this.byFeed.get(feed);
    if (own) return own;
    for (const { form, definition } of this.byForm) if (form.test(feed)) return definition;
    return undefined;
  }

  /**
   * Makes the content of a message, where its feed has a definition after a check: at once, unless the schema checks later.
   *
   * @throws FeedException FEED_MESSAGE (400) saying what does not fit; it rejects where the schema checks later
   */
  contentOf(feed: string, data: unknown, type: string | undefined, serialise: Serialise): Content | Promise<Content> {
    return contentBy(this.of(feed), feed, data, type, serialise);
  }

  /** The same for several feeds: the data is checked and serialised once for each definition. */
  contentsOf(
    feeds: readonly string[],
    data: unknown,
    type: string | undefined,
    serialise: Serialise,
  ): readonly (Content | Promise<Content>)[] {
    if (feeds.length === 1) return [this.contentOf(feeds[0] as string, data, type, serialise)];
    const made = new Map<FeedDescription | undefined, Content | Promise<Content>>();
    return feeds.map((feed) => {
      const definition = this.of(feed);
      const content = made.get(definition) ?? contentBy(definition, feed, data, type, serialise);
      made.set(definition, content);
      return content;
    });
  }
}

/** @throws TypeError where a feed is published to by a definition that the module does not know, or that is not its own */
export function checkDefined(definitions: Definitions | undefined, { id, definition }: FeedRef): string {
  if (definitions?.of(id) === definition) return id;
  throw new TypeError(`The feed "${id}" is not checked by "${definition.pattern}": give FeedModule this definition in its option "feeds"`);
}

function contentBy(
  definition: FeedDescription | undefined,
  feed: string,
  data: unknown,
  type: string | undefined,
  serialise: Serialise,
): Content | Promise<Content> {
  if (!definition) return serialise(data, type);
  const { messages } = definition;
  const key = type ?? untyped;
  const schema = Object.hasOwn(messages, key) ? messages[key] : undefined;
  if (!schema) {
    const types = Object.keys(messages).map((known) => (known === untyped ? 'none' : `"${known}"`));
    const message = `The feed "${feed}" takes messages of these types: ${types.join(', ')}; not ${type === undefined ? 'one without' : `"${type}"`}.`;
    throw new FeedException('FEED_MESSAGE', { message });
  }
  const storedType = key === untyped ? undefined : key;
  const take = (result: StandardSchemaV1.Result<unknown>) => {
    if (result.issues) throw misfit(feed, key, result.issues);
    return serialise(result.value, storedType);
  };
  const result = schema['~standard'].validate(data);
  if (!('then' in result)) return take(result);
  const content = result.then(take);
  content.catch(() => {}); // also where what is published at once with it fails before
  return content;
}

function misfit(feed: string, type: string, found: readonly StandardSchemaV1.Issue[]): FeedException {
  const issues = found.slice(0, mostIssues).map(toIssue);
  const [first] = issues;
  const place = first && first.path.length > 0 ? `${first.path.join('.')}: ` : '';
  const message = `The data of a "${type}" of the feed "${feed}" does not fit: ${place}${first?.message ?? 'it is not valid'}`;
  return new FeedException('FEED_MESSAGE', { message, issues });
}

function toIssue({ message, path = [] }: StandardSchemaV1.Issue): FeedIssue {
  const keys = path.map((part) => (typeof part === 'object' ? part.key : part));
  return { path: keys.map((key) => (typeof key === 'number' ? key : String(key))), message };
}

function wrong(what: string): FeedOptionsError {
  return new FeedOptionsError(`FeedModule's option "feeds" ${what}`, 'feeds');
}
