import type { Question } from './messages.js';
import { WorkerQueries } from './worker-queries.js';

/** Workers that answer when they are told to. */
class Ground {
  readonly asked: { pid: number; round: number; question: Question }[] = [];
  readonly rounds: WorkerQueries;

  constructor(pids: number[], patience?: number) {
    const workers = pids.map((pid) => ({ pid, ask: (round: number, question: Question) => this.asked.push({ pid, round, question }) }));
    this.rounds = new WorkerQueries(() => workers, patience);
  }

  /** Answers everything that has been asked so far. */
  answer(text: string): void {
    for (const { pid, round } of this.asked.splice(0)) this.rounds.answered(pid, round, `${text} of ${pid}`);
  }
}

const both = (text: string) => ({ answers: [1, 2].map((pid) => ({ pid, answer: `${text} of ${pid}` })), missing: [] });

describe('rounds of questions', () => {
  it('give the answers of all', async () => {
    const ground = new Ground([1, 2]);
    const answers = ground.rounds.ask({ name: 'count', about: 'a' });
    expect(ground.asked.map(({ pid, question }) => [pid, question])).toEqual([1, 2].map((pid) => [pid, { name: 'count', about: 'a' }]));
    ground.answer('first');
    expect(await answers).toEqual(both('first'));
  });

  it('are shared by those who ask meanwhile, and never older than the question', async () => {
    const ground = new Ground([1, 2]);
    const first = ground.rounds.ask({ name: 'counts' });
    const [second, third] = [ground.rounds.ask({ name: 'counts' }), ground.rounds.ask({ name: 'counts' })];
    const other = ground.rounds.ask({ name: 'count', about: 'a' });
    expect(ground.asked).toHaveLength(4);
    ground.answer('first');
    expect(await first).toEqual(both('first'));
    expect(await other).toEqual(both('first'));
    expect(ground.asked).toHaveLength(2);
    ground.answer('second');
    expect(await Promise.all([second, third])).toEqual([both('second'), both('second')]);
    const fourth = ground.rounds.ask({ name: 'counts' });
    ground.answer('third');
    expect(await fourth).toEqual(both('third'));
  });

  it('name those who do not answer, and do not wait for those who have ended', async () => {
    const ground = new Ground([1, 2, 3], 1);
    const answers = ground.rounds.ask({ name: 'counts' });
    ground.rounds.answered(3, 1, 'here');
    ground.rounds.answered(3, 1, 'twice');
    ground.rounds.gone(2);
    expect(await answers).toEqual({ answers: [{ pid: 3, answer: 'here' }], missing: [1] });
    ground.rounds.answered(1, 1, 'too late');
    expect(await new Ground([]).rounds.ask({ name: 'counts' })).toEqual({ answers: [], missing: [] });
  });
});
