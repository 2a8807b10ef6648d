/** A feed that messages numbered 1, 2, 3, … are published to, one after the other; it knows which of them were acknowledged. */
export class Feed {
  /** The number of the last message that was sent to a node. */
  sent = 0;
  /** Whether its answer is still to come: the next one must not overtake it. */
  isBusy = false;
  /** Numbers whose messages were not acknowledged: they may have got there all the same. */
  #unsure = new Set();

  /** @param leastBytes of a message */
  constructor(name, leastBytes = 0) {
    this.name = name;
    this.leastBytes = leastBytes;
  }

  /** Publishes the next message through a node; resolves with whether it was acknowledged. */
  async publish(node) {
    this.isBusy = true;
    this.sent += 1;
    const number = this.sent;
    const head = `${number} ${performance.now().toFixed(3)} ${this.name}`;
    const text = this.leastBytes > head.length ? `${head} `.padEnd(this.leastBytes, 'x') : head;
    const isAcknowledged = await node.publish(this.name, text);
    if (!isAcknowledged) this.#unsure.add(number);
    this.isBusy = false;
    return isAcknowledged;
  }

  isUnsure(number) {
    return this.#unsure.has(number);
  }

  /** How many messages were acknowledged after one number and before another, whose answers are all there. */
  acknowledgedBetween(after, before) {
    let count = 0;
    for (let number = after + 1; number < before; number += 1) if (!this.#unsure.has(number)) count += 1;
    return count;
  }
}
