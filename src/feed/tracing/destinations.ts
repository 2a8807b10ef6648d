import type { Definitions } from '../pubsub/definitions.js';
import type { RuleSet } from '../pubsub/rules.js';

/** What feeds without a definition and without a rule are called together. */
const others = '*';

/** Names feeds in traces. */
export class Destinations {
  constructor(
    private readonly rules: RuleSet,
    private readonly definitions: Definitions | undefined,
  ) {}

  of(feed: string): string {
    return this.definitions?.of(feed)?.pattern ?? this.rules.patternOf(feed) ?? others;
  }
}
