/** What the events of a page mean for a client. */
export interface PageListener {
  /**
   * The page may have been asleep: look whether the connection is still there.
   *
   * @param isNew whether the network has changed, so that a connection of before is not
   */
  look(isNew: boolean): void;
  /** The page is left, for good or until the user comes back to it. */
  hide(): void;
  /** The user has come back to a page that was left. */
  show(): void;
}

interface Target {
  addEventListener(type: string, listener: (event: { persisted?: boolean }) => void): void;
  removeEventListener(type: string, listener: (event: { persisted?: boolean }) => void): void;
}

/** Listens to the events of the page, where there is one; returns what stops that. */
export function pageEvents({ look, hide, show }: PageListener): () => void {
  const { document, addEventListener } = globalThis as unknown as Partial<Target> & { document?: Target & { visibilityState: string } };
  if (!document || !addEventListener) return () => {};
  const page = globalThis as unknown as Target;
  const all: [Target, string, (event: { persisted?: boolean }) => void][] = [
    [page, 'online', () => look(true)],
    [page, 'pagehide', hide],
    [page, 'pageshow', ({ persisted }) => persisted && show()],
    [document, 'visibilitychange', () => document.visibilityState === 'visible' && look(false)],
  ];
  for (const [target, type, listener] of all) target.addEventListener(type, listener);
  return () => {
    for (const [target, type, listener] of all) target.removeEventListener(type, listener);
  };
}
