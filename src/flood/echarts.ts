import { FloodOptionsError } from './errors.js';

/**
 * The package that draws. It is an optional peer: most floods draw nothing. It has this file for itself, so that no type that
 * the package publishes needs it.
 *
 * @throws FloodOptionsError when it is not installed
 */
export async function loadECharts(): Promise<typeof import('echarts')> {
  try {
    return await import('echarts');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new FloodOptionsError('--report needs the package echarts: npm install echarts', 'report');
  }
}
