/** What the events of a page mean for a client. */
interface PageListener {
  /**
   * The page may have been asleep: look whether the connection is still there.
   *
   * @param isNew whether the network has changed, so that a connection of before is not
   */
  look(isNew: boolean): void;
  /** The page is left, for good or until the user comes back to it. */
  hide(): void;
}

interface Target {
  addEventListener(type: string, listener: (event: { persisted?: boolean }) => void, options: { signal: AbortSignal }): void;
}

/** Listens to the events of the page, where there is one, until the signal is aborted. */
export function listenToPage({ look, hide }: PageListener, signal: AbortSignal): void {
  const page = globalThis as unknown as Target & { document?: Target & { visibilityState: string } };
  const { document } = page;
  if (!document) return;
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && look(false), { signal });
  page.addEventListener('online', () => look(true), { signal });
  page.addEventListener('pagehide', hide, { signal });
  page.addEventListener('pageshow', ({ persisted }) => persisted && look(true), { signal }); // the user has come back to it
}
