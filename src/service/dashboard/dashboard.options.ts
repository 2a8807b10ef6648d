/** The dashboard's options, and their injection token. */
export abstract class DashboardOptions {
  /** The key that opens the dashboard. Undefined: it is public. */
  abstract readonly key: string | undefined;
  /** The path of the service's feeds, without slashes at its ends. */
  abstract readonly feedPath: string;
  /** Whether reading feeds needs a token. */
  abstract readonly needsToken: boolean;
  /** Whether there are routes for operators, which the pages of connections, feeds and nodes ask. */
  abstract readonly hasAdmin: boolean;
}
