/** Promises that wait until a number has been reached. */
export class Waiters {
  /** In the order of their numbers. */
  private waiters: { readonly number: number; readonly resolve: () => void; readonly reject: (cause: Error) => void }[] = [];

  wait(number: number): Promise<void> {
    return new Promise((resolve, reject) => {
      // From the end: a later one mostly waits for a higher number.
      let at = this.waiters.length;
      while (at > 0 && (this.waiters[at - 1]?.number as number) > number) at -= 1;
      this.waiters.splice(at, 0, { number, resolve, reject });
    });
  }

  reach(number: number): void {
    let count = 0;
    for (const waiter of this.waiters) {
      if (waiter.number > number) break;
      waiter.resolve();
      count += 1;
    }
    if (count > 0) this.waiters.splice(0, count);
  }

  fail(cause: Error): void {
    for (const { reject } of this.waiters.splice(0)) reject(cause);
  }
}
