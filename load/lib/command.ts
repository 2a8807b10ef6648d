import { parseArgs } from 'node:util';

/** An option of a command: what the help says of it, and how its text becomes its value. */
interface Option<T> {
  help: string;
  /** What the help calls its value; a flag has none. */
  argument?: string;
  fallback?: string;
  /** @throws Error that says what the option must be */
  read(text: string): T;
}

type Values<Options> = { [Name in keyof Options]: Options[Name] extends Option<infer T> ? T : never };

export function number(help: string, fallback: number, least = 1, most = 1_000_000, argument = 'N', kind = 'number'): Option<number> {
  const read = (text: string) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value >= least && value <= most && (kind === 'number' || Number.isInteger(value))) return value;
    throw new Error(`must be a ${kind} from ${least} to ${most}`);
  };
  return { help, argument, fallback: `${fallback}`, read };
}

export const whole = (help: string, fallback: number, least = 1, most = 1_000_000, argument = 'N'): Option<number> =>
  number(help, fallback, least, most, argument, 'whole number');

/** The same without a default. */
export const optional = <T>({ fallback: _, ...option }: Option<T>): Option<T | undefined> => option;

/** One of some words; the first is the default. */
export function choice<const T extends string>(help: string, words: readonly [T, ...T[]]): Option<T> {
  const read = (text: string) => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw new Error(`must be one of ${words.join(', ')}`);
    return found;
  };
  return { help: `${help}: ${words.join(', ')}`, argument: 'NAME', fallback: words[0], read };
}

/** Which of Nest's HTTP adapters the service runs on. */
export const adapter = () => choice('the HTTP adapter', ['express', 'fastify']);

/** Words or numbers, with commas between them. */
export function list<T>(help: string, argument: string, fallback: string, read: (text: string) => T): Option<T[]> {
  return { help, argument, fallback, read: (text) => text.split(',').map((part) => read(part.trim())) };
}

export const text = (help: string, argument: string): Option<string | undefined> => ({ help, argument, read: (given) => given });

/** On, off (`--no-…`), or not mentioned. */
export const flag = (help: string): Option<boolean | undefined> => ({ help, read: (given) => given === 'true' });

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function usageOf(name: string, options: Record<string, Option<unknown>>, end: string): string {
  const lines = Object.entries(options).map(([key, { argument = '', help, fallback }]) => {
    return `      ${`--${kebab(key)} ${argument}`.padEnd(22)}${help}${fallback ? ` (${fallback})` : ''}`;
  });
  return `Usage: npm run ${name} -- [options]\n\n${lines.join('\n')}\n  -h, --help                show this\n\n${end}\n`;
}

/**
 * Reads the options of a command. Ends the process with 0 where its help is asked for, and with 2 where an option is wrong.
 *
 * @param end what the help says below the options
 * @param check looks at the values together; throws where they don't fit
 */
export function readOptions<Options extends Record<string, Option<unknown>>>(
  name: string,
  options: Options,
  end: string,
  check: (values: Values<Options>) => void = () => {},
): Values<Options> {
  const usage = usageOf(name, options, end);
  const read = () => {
    const kinds = Object.entries(options).map(([key, { argument }]) => [kebab(key), { type: argument ? 'string' : 'boolean' }] as const);
    const parsed = parseArgs({ allowNegative: true, options: { ...Object.fromEntries(kinds), help: { type: 'boolean', short: 'h' } } });
    const given: Record<string, unknown> = parsed.values;
    if (given.help) return undefined;
    const values: Record<string, unknown> = {};
    for (const [key, option] of Object.entries(options)) {
      const value = given[kebab(key)] ?? option.fallback;
      try {
        values[key] = value === undefined ? undefined : option.read(`${value}`);
      } catch (error) {
        throw new Error(`--${kebab(key)} ${(error as Error).message}, not ${value}`);
      }
    }
    check(values as Values<Options>);
    return values as Values<Options>;
  };
  try {
    const values = read();
    if (values) return values;
    process.stdout.write(usage);
    process.exit(0);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}
