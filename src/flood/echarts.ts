import { FloodOptionsError } from './errors.js';

/**
 * Loads the chart library, an optional peer dependency. This is a file of its own, so that no published type depends on it.
 *
 * @throws FloodOptionsError if it is not installed
 */
export async function loadECharts(): Promise<typeof import('echarts')> {
  try {
    return await import('echarts');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new FloodOptionsError('--report needs the package echarts: npm install echarts', 'report');
  }
}
