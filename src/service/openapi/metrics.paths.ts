import { MetricsScopeException } from '../../metrics/metrics.errors.js';
import type { Paths } from './openapi.js';
import { refusals } from './refusals.js';

const sample = `# HELP feed_connections_open Connections open now.
# TYPE feed_connections_open gauge
feed_connections_open 10000
`;

export const metricsPaths: Paths = {
  '/metrics': {
    get: {
      tags: ['health'],
      operationId: 'metrics',
      summary: 'What Prometheus reads',
      description:
        'In its text format, version 0.0.4. Where several workers serve, each has its own, with its number as the label `worker`.',
      security: [],
      parameters: [
        {
          name: 'scope',
          in: 'query',
          description: 'Of the process that answers (`worker`), or of all that serve its port.',
          schema: { type: 'string', enum: ['worker', 'service'] },
          example: 'worker',
        },
      ],
      responses: {
        200: { description: 'The metrics.', content: { 'text/plain': { schema: { type: 'string' }, example: sample } } },
        ...refusals(new MetricsScopeException()),
      },
    },
  },
};
