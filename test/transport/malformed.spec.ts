import { describeRefusals } from '../support/hostile/refused.js';

describeRefusals(500, 1000);
