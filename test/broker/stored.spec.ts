import { type BrokerKind, describeServers, engineOf, nodeOf, roomy } from '../support/brokers.js';

const content = (text: string) => ({ type: undefined, text, isJson: false });

describeServers('what is stored, with', (kind: BrokerKind) => {
  const start = async (bounds = {}) => {
    const engine = await engineOf(kind);
    const { broker } = nodeOf(await kind.make(engine?.port ?? 0, { ...roomy, ...bounds }));
    return broker;
  };

  it('is listed by prefix and in order, and measured', async () => {
    const broker = await start();
    const begun = Date.now();
    for (const feed of ['orders/10', 'orders/9', 'order', 'news', 'orders/1']) await broker.publish(feed, content('four'));
    await broker.publish('$nodes/x', content('not a feed of clients'));
    const ids = (prefix: string, after = '', most = 10) => broker.storedIds?.({ prefix, after, most });
    expect(await ids('')).toEqual({ ids: ['news', 'order', 'orders/1', 'orders/10', 'orders/9'], isWhole: true });
    expect(await ids('orders/')).toEqual({ ids: ['orders/1', 'orders/10', 'orders/9'], isWhole: true });
    expect(await ids('order', 'orders/1', 1)).toEqual({ ids: ['orders/10'], isWhole: true });
    expect(await ids('other')).toEqual({ ids: [], isWhole: true });
    await broker.publish('news', content('12345678'));
    const [news, order, none] = (await broker.measure?.(['news', 'order', 'none'])) ?? [];
    expect([news?.length, order?.length, none]).toEqual([2, 1, undefined]);
    expect((news?.bytes ?? 0) - 2 * (order?.bytes ?? 0)).toBeLessThan(50);
    expect(order?.bytes).toBeGreaterThan(512);
    expect(order?.newestAt).toBeGreaterThanOrEqual(begun - 1000);
    expect(order?.newestAt).toBeLessThanOrEqual(news?.newestAt as number);
    expect(news?.end).toBeUndefined();
    await broker.publish('news', { type: 'end', text: '{"reason":"failed","message":"No."}', isJson: true });
    expect(await broker.measure?.(['news'])).toMatchObject([{ length: 3, end: { reason: 'failed', message: 'No.' } }]);
    await broker.clear('news');
    expect(await broker.measure?.(['news'])).toEqual([undefined]);
    expect((await ids('n'))?.ids).toEqual([]);
  });

  it('is measured with the traces of its messages, as its bounds count it', async () => {
    const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const broker = await start();
    await broker.publish('plain', content('text'));
    await broker.publish('other', { ...content('text'), trace });
    const [plain, other] = (await broker.measure?.(['plain', 'other'])) ?? [];
    const difference = (other?.bytes ?? 0) - (plain?.bytes ?? 0);
    expect([trace.length, ` ${trace}`.length]).toContain(difference); // Redis has a space before it
  });

  it('is within its bounds', async () => {
    const broker = await start({ historyLength: 3 });
    for (let n = 0; n < 10; n += 1) await broker.publish('a', content(`${n}`));
    const [one] = (await broker.measure?.(['a'])) ?? [];
    expect(one?.length).toBe(3);
    const { messages } = await broker.read('a', 'earliest', 1e6);
    expect(messages).toHaveLength(3);
    expect(one?.newestAt).toBe(messages.at(-1)?.time);
    expect(one?.bytes).toBeGreaterThan(3 * 512);
    expect(one?.bytes).toBeLessThan(4 * 512);
  });
});
