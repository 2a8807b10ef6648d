import type { BaseIssue } from 'valibot';

/** An option of the webhook is wrong. Thrown when the application starts. */
export class WebhookOptionsError extends Error {
  override readonly name = 'WebhookOptionsError';
  readonly code = 'WEBHOOK_OPTIONS';

  constructor(
    message: string,
    /** The name of the wrong option. */
    readonly option: string,
  ) {
    super(message);
  }

  /** Tells what is wrong with the first of the options that failed their check, and nothing that is secret. */
  static from([issue]: [BaseIssue<unknown>, ...BaseIssue<unknown>[]], known: string[]): WebhookOptionsError {
    const option = issue.path?.map((item) => String(item.key)).join('.') ?? 'options';
    if (issue.expected === 'never') {
      return new WebhookOptionsError(`The webhook has no option "${option}"; it has ${known.join(', ')}`, option);
    }
    const was = option === 'secret' ? '' : `, not ${option === 'url' ? withoutSecrets(issue.received) : issue.received}`;
    return new WebhookOptionsError(`The webhook's option "${option}" ${issue.message}${was}`, option);
  }
}

/** What is no URL may still hold a password or a token: leaves out all up to the last `@`, and the query. */
function withoutSecrets(quoted: string): string {
  return quoted.replace(/[?#].*(?=")/s, '').replace(/(?<=^").*@/s, '');
}
