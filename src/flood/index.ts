export { FloodOptionsError } from './errors.js';
export type { FloodObserver } from './flood.js';
export { flood } from './flood.js';
export type { FloodOptions } from './options.js';
export { drawPage } from './page.js';
export type { PictureShape } from './picture.js';
export { drawPicture } from './picture.js';
export { reportTable } from './print.js';
export type { FloodReport, FloodSample, PublishReport } from './report.js';
