import * as v from 'valibot';
import type { NodeMessage } from './node-message.js';
import type { Nodes, NodesListener } from './nodes.js';
import type { Peer } from './peers.js';

/** How long an answer may take, in milliseconds. */
const answerMs = 1000;

/** Something that each node does, or answers, on request. */
export interface Command<Argument, Answer> {
  readonly name: string;
  readonly argument: v.GenericSchema<unknown, Argument>;
  readonly answer: v.GenericSchema<unknown, Answer>;
}

/** The answers of the nodes. */
export interface Answers<Answer> {
  /** This node's first, the others by name. */
  readonly answers: readonly { readonly node: string; readonly value: Answer }[];
  /** The names of the nodes that have not answered in time. */
  readonly missing: readonly string[];
}

const questionContent = v.object({ question: v.number(), command: v.string(), argument: v.unknown() });
const answerContent = v.object({ answers: v.number(), value: v.unknown() });

interface Question {
  /** The nodes that have not answered. */
  readonly waiting: Map<string, Peer>;
  readonly answers: { node: string; value: unknown }[];
  readonly resolve: () => void;
}

/** Asks all nodes to do something, and collects their answers. */
export class NodeQueries implements NodesListener {
  private readonly handlers = new Map<string, (argument: unknown) => unknown>();
  private readonly questions = new Map<number, Question>();
  private lastNumber = 0;

  /** @param onFailed called with a handler's error */
  constructor(
    private readonly nodes: Nodes,
    private readonly onFailed: (command: string, error: unknown) => void,
  ) {
    nodes.listen(this);
  }

  /** Sets what this node does when any node asks for it. */
  handle<Argument, Answer>({ name, argument }: Command<Argument, Answer>, handler: (argument: Argument) => Answer | Promise<Answer>): void {
    this.handlers.set(name, (given) => {
      const { success, output } = v.safeParse(argument, given);
      return success ? handler(output) : undefined;
    });
  }

  /**
   * Asks each node, this one first and at once. While the broker is unavailable, the others are missing.
   *
   * @throws the error of this node's own handler
   */
  async ask<Argument, Answer>(command: Command<Argument, Answer>, argument: Argument): Promise<Answers<Answer>> {
    const own = { node: this.nodes.name, value: (await this.handlers.get(command.name)?.(argument)) as Answer };
    if (!this.nodes.isShared) return { answers: [own], missing: [] };
    const peers = this.nodes.others();
    const given = await this.askOthers(command.name, argument, peers);
    const others = given.answers.flatMap(({ node, value }) => {
      const { success, output } = v.safeParse(command.answer, value);
      if (!success) given.missing.push(node);
      return success ? { node, value: output } : [];
    });
    others.sort((a, b) => (a.node < b.node ? -1 : 1));
    return { answers: [own, ...others], missing: given.missing.sort() };
  }

  onMessage(kind: string, message: NodeMessage): void {
    if (message.id === this.nodes.id) return;
    if (kind === 'question') void this.respond(message);
    else if (kind === 'answer') this.note(message);
  }

  /** A node that is gone will not answer. */
  onGone(): void {
    for (const question of this.questions.values()) this.settle(question);
  }

  private async askOthers(command: string, argument: unknown, peers: readonly Peer[]) {
    this.lastNumber += 1;
    const number = this.lastNumber;
    const waiting = new Map(peers.map((peer) => [peer.id, peer]));
    const answers: Question['answers'] = [];
    if (peers.length > 0) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, answerMs);
        this.questions.set(number, { waiting, answers, resolve });
        this.nodes.tell('question', { question: number, command, argument }).catch(() => resolve());
      });
      clearTimeout(timer);
      this.questions.delete(number);
    }
    return { answers, missing: [...waiting.values()].map(({ name }) => name) };
  }

  private async respond(message: NodeMessage): Promise<void> {
    const { success, output } = v.safeParse(questionContent, message);
    if (!success) return;
    const { question: answers, command, argument } = output;
    try {
      const value = await this.handlers.get(command)?.(argument);
      await this.nodes.tell('answer', { answers, value }, message.id);
    } catch (error) {
      this.onFailed(command, error);
      // Without a value this node is missing at once.
      await this.nodes.tell('answer', { answers }, message.id).catch(() => {});
    }
  }

  private note(message: NodeMessage): void {
    const { success, output } = v.safeParse(answerContent, message);
    const question = success ? this.questions.get(output.answers) : undefined;
    if (!success || !question?.waiting.delete(message.id)) return;
    question.answers.push({ node: message.node, value: output.value });
    this.settle(question);
  }

  /** Resolves once all nodes have answered, or are gone. */
  private settle({ waiting, resolve }: Question): void {
    for (const id of waiting.keys()) if (this.nodes.has(id)) return;
    resolve();
  }
}
