/** What the consumers of a page make the connection wait for. */
export interface Backlog {
  /** What has to be waited for before more is read; undefined where nothing has to. */
  ready(): Promise<void> | undefined;
  set(consumer: object, isFull: boolean): void;
}

export function createBacklog(): Backlog {
  const full = new Set<object>();
  let wait: Promise<void> | undefined;
  let resume = () => {};
  return {
    ready: () => wait,
    set(consumer, isFull) {
      if (isFull) full.add(consumer);
      else full.delete(consumer);
      if (full.size === 0) {
        resume();
        wait = undefined;
      } else {
        wait ??= new Promise((resolve) => {
          resume = resolve;
        });
      }
    },
  };
}
