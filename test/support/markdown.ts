import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A block of code that the documentation shows. */
export interface Block {
  /** Where it begins: `README.md:33`. */
  readonly place: string;
  /** Empty for what programs say. */
  readonly language: string;
  readonly text: string;
  /** Whether `<!-- fragment -->` stands before it: then it may use names that it does not declare. */
  readonly isFragment: boolean;
}

/** The README, and whatever there is beside it. */
export const pages: readonly string[] = [
  'README.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];

const fence = /^(<!-- fragment -->\n+)?^( *)```(.*)\n([\s\S]*?)^ *```$/gm;

/** All blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  const whole = readFileSync(page, 'utf8');
  return Array.from(whole.matchAll(fence), ({ index, 1: comment = '', 2: indent, 3: language, 4: text }) => ({
    place: `${page}:${whole.slice(0, index + comment.length).split('\n').length}`,
    language,
    text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
    isFragment: comment !== '',
  }));
}

/** The commands that its prose names: `npm run …`. */
export function commandsOf(page: string): string[] {
  const prose = readFileSync(page, 'utf8').replaceAll(fence, '');
  return Array.from(prose.matchAll(/`(npm (?:run|start|test)\b[^`\n]*)`/g), ([, command]) => command);
}
