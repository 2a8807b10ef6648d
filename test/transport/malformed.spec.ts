import { describeRefusals } from '../support/hostile/refused.js';

describeRefusals(1500, 3500);
