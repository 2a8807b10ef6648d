import type { TextMessage } from '../message/message.js';
import { labelled } from './formats.js';
import { sse } from './sse.js';
import { text } from './text.js';

const message = (fields: Partial<TextMessage>): TextMessage => {
  return { id: undefined, feed: undefined, type: undefined, text: 'x', isJson: false, ...fields };
};

it.each(['a\nb', 'a\rb', 'a\0b'])('sse rejects the id and the type %j', (value) => {
  expect(() => sse.encode(message({ id: value }))).toThrow(/id must not contain line breaks/);
  expect(() => sse.encode(message({ type: value }))).toThrow(/type must not contain line breaks/);
});

it('text begins a line with its feed on a connection with several feeds, unless it is of a source', () => {
  expect(labelled(text).encode(message({ feed: 'a', text: 'as it is' }))).toBe('a\tas it is\n');
  expect(labelled(text).encode(message({ text: 'of a source' }))).toBe('of a source\n');
});
