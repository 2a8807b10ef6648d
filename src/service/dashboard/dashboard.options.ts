/** How the dashboard is served; its own token. */
export abstract class DashboardOptions {
  /** What whoever looks must have; undefined: anybody may. */
  abstract readonly key: string | undefined;
  /** Where the service's feeds are. */
  abstract readonly feedPath: string;
  /** Whether a token decides who reads them. */
  abstract readonly needsToken: boolean;
}
