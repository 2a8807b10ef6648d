import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A program as the shell would call it. */
export interface Command {
  readonly program: string;
  readonly args: string[];
  /** What the line itself sets. */
  readonly env: Record<string, string>;
}

/** The programs whose calls are looked at. */
const programs = ['npm', 'npx', 'curl'];

/** What a line of the shell calls, told by stand-ins for the programs; undefined where it is none of those. */
export function commandOf(line: string): Command | undefined {
  const program = /^(?:\w+=\S* +)*(\w+)/.exec(line)?.[1] ?? '';
  if (!programs.includes(program)) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'nestjs-feed-shell-'));
  try {
    mkdirSync(join(folder, 'bin'));
    const proxy = `#!${process.execPath}\nconsole.log(JSON.stringify({ args: process.argv.slice(2), env: process.env }))\n`;
    writeFileSync(join(folder, 'bin', program), proxy);
    chmodSync(join(folder, 'bin', program), 0o755);
    const { stdout } = spawnSync('/bin/bash', ['-c', line], { cwd: folder, env: { PATH: join(folder, 'bin') }, encoding: 'utf8' });
    const { args, env } = JSON.parse(stdout.split('\n')[0]);
    for (const own of ['PATH', 'PWD', 'OLDPWD', 'SHLVL', '_']) delete env[own];
    return { program, args, env };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The lines of a block, each with those that continue it, without those that are comments alone. */
export function linesOf(text: string): string[] {
  return text
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
