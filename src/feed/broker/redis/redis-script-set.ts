import { measure } from './redis-measure-script.js';
import { read } from './redis-read-script.js';
import { remember, remembered } from './redis-remembered.js';
import { append, beat, clear } from './redis-scripts.js';

/** All scripts, by their names. */
export const scripts = { append, beat, clear, measure, read, remember, remembered };
