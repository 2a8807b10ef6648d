import type { Plan, Step } from './steps.js';

/** A plan in words, a step a line. */
export function describePlan({ historyLength, steps }: Plan): string {
  return [`${historyLength} messages are stored of each feed`, ...steps.map(describeStep)]
    .map((line, n) => `${n === 0 ? '   ' : `${n}`.padStart(3)} ${line}`)
    .join('\n');
}

function describeStep(step: Step): string {
  switch (step.do) {
    case 'open': {
      const how = [step.isHandedOver ? 'handed over' : 'kept in the HTTP stack', ...(step.hasSource ? ['with a source'] : [])];
      return `client ${step.client} opens ${listed(step.feeds)} on node ${step.node}, ${how.join(', ')}`;
    }
    case 'comeBack':
      return `client ${step.client} comes back to node ${step.node} with its position, if it is away`;
    case 'leave':
      return `client ${step.client} leaves`;
    case 'pause':
      return `client ${step.client} stops reading`;
    case 'resume':
      return `client ${step.client} reads on`;
    case 'follow':
      return `client ${step.client} follows ${listed(step.feeds)} as well${step.since === undefined ? '' : `, from ${step.since} on`}`;
    case 'unfollow':
      return `client ${step.client} unfollows ${step.feed}`;
    case 'publish':
      return `node ${step.node} publishes ${step.count} messages of ${step.bytes} bytes to ${step.feed}`;
    case 'clog':
      return `client ${step.client} stops reading, and ${step.feed === 'own' ? 'a feed of its own' : step.feed} is published to until it is full`;
    case 'end':
      return `node ${step.node} ends ${step.feed}`;
    case 'endBehind':
      return `node ${step.node} publishes a message to ${step.feed} and ends it`;
    case 'drain':
      return `node ${step.node} ends in good order; another takes its place`;
    case 'kill':
      return `node ${step.node} is killed; another takes its place`;
    case 'holdReads':
      return `reads of history hang on node ${step.node}`;
    case 'releaseReads':
      return `reads of history go on on node ${step.node}`;
    case 'failReads':
      return `the next reads of history fail on node ${step.node}`;
    case 'failFollows':
      return `the next subscriptions fail on node ${step.node}`;
    case 'failPublish':
      return `the next messages published on node ${step.node} fail, ${step.isStored ? 'and are stored all the same' : 'unstored'}`;
    case 'sever':
      return `the broker of node ${step.node} loses its connections`;
    case 'cut':
      return `the broker of node ${step.node} loses its network`;
    case 'mend':
      return `the broker of node ${step.node} has its network back`;
    case 'restartEngine':
      return "the broker's server is killed and started again";
    case 'wait':
      return `${step.turns} turns of the event loop pass`;
  }
}

function listed(feeds: readonly string[]): string {
  return feeds.length === 0 ? 'no common feed' : feeds.join(', ');
}
