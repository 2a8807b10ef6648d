import { describeRefusals } from '../support/hostile/refused.js';

describeRefusals(30_000, 70_000);
