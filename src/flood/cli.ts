#!/usr/bin/env node
import { floodCommand } from './command.js';

const usage = `Usage: nestjs-feed <command>

  flood <url-prefix>   open many connections to feeds and check what arrives on each (nestjs-feed flood --help)
`;

const [command, ...args] = process.argv.slice(2);
if (command === 'flood') {
  process.exitCode = await floodCommand(args);
} else if (command === undefined || command === '--help' || command === '-h') {
  process.stdout.write(usage);
} else {
  process.stderr.write(`Unknown command "${command}".\n\n${usage}`);
  process.exitCode = 2;
}
