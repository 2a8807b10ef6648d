import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');

/** Has V8 collect all that nothing holds. */
export const collectGarbage: () => void = runInNewContext('gc');
