import type { Content } from '../../src/index.js';
import { KeyReusedError } from '../../src/index.js';
import type { Engine } from '../../tools/engines.mjs';
import type { Seen } from '../support/broker-node.js';
import { type BrokerKind, describeBrokers, describeSharedBrokers, engineOf, linkTo, nodeOf, roomy } from '../support/brokers.js';
import { until } from '../support/until.js';

const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 vendor=a b,other=1';
const another = '00-11111111111111111111111111111111-2222222222222222-00';
const contentOf = (text: string): Content => ({ type: 'changed', text, isJson: false });
const tracesOf = (seen: Seen) => seen.map((message) => (message === 'lost' ? message : [message.text, message.trace]));

describeBrokers('the trace of a message, on', (kind: BrokerKind) => {
  let engine: Engine | undefined;
  const node = async (port = engine?.port ?? 0, bounds = roomy) => nodeOf(await kind.make(port, bounds));

  beforeEach(async () => {
    engine = await engineOf(kind);
  });

  it('is delivered and stored with it; a message without has no field for it', async () => {
    const writer = await node();
    const reader = engine ? await node() : writer;
    await reader.subscribe('a');
    expect(await writer.broker.publish('a', { ...contentOf('one'), trace })).toMatchObject({ text: 'one', trace });
    const plain = await writer.broker.publish('a', contentOf('two'));
    await writer.broker.publish('a', { type: undefined, text: '{}', isJson: true, trace: another });
    await until(() => reader.of('a').length === 3);
    const traces = [
      ['one', trace],
      ['two', undefined],
      ['{}', another],
    ];
    const { messages } = await reader.broker.read('a', 'earliest', 1e6);
    for (const found of [reader.of('a'), [...messages]]) {
      expect(tracesOf(found)).toEqual(traces);
      expect(Object.keys(found[1] as object)).not.toContain('trace');
    }
    expect(Object.keys(plain)).not.toContain('trace');
  });

  it('is no part of what a key stands for', async () => {
    const { broker } = await node();
    const first = await broker.publish('a', { ...contentOf('one'), trace }, { key: 'k' });
    const again = await broker.publish('a', { ...contentOf('one'), trace: another }, { key: 'k' });
    expect(again.id).toBe(first.id);
    expect((await broker.publish('a', contentOf('one'), { key: 'k' })).id).toBe(first.id);
    await expect(broker.publish('a', { ...contentOf('two'), trace }, { key: 'k' })).rejects.toThrow(KeyReusedError);
    const { messages } = await broker.read('a', 'earliest', 1e6);
    expect(tracesOf([...messages])).toEqual([['one', trace]]);
  });

  it('counts among the bytes of a feed', async () => {
    const { broker } = await node(engine?.port, { ...roomy, historyBytes: 4000 });
    const long = trace.padEnd(1000, 'x');
    for (let n = 0; n < 5; n += 1) await broker.publish('long', { ...contentOf('text'), trace: long });
    for (let n = 0; n < 5; n += 1) await broker.publish('short', contentOf('text'));
    expect((await broker.read('long', 'earliest', 1e6)).messages).toHaveLength(2);
    expect((await broker.read('short', 'earliest', 1e6)).messages).toHaveLength(5);
  });
});

describeSharedBrokers('the trace of a message that a node missed, on', (kind: BrokerKind) => {
  it('comes with it when the node is back', async () => {
    const engine = (await engineOf(kind)) as Engine;
    const link = await linkTo(engine);
    const writer = nodeOf(await kind.make(engine.port, roomy));
    const reader = nodeOf(await kind.make(link.port, roomy));
    await reader.subscribe('a');
    link.sever();
    await writer.broker.publish('a', { ...contentOf('missed'), trace });
    await until(() => reader.of('a').length === 1);
    expect(tracesOf(reader.of('a'))).toEqual([['missed', trace]]);
  });
});
