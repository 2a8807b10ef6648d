import type { Type } from '@nestjs/common';

/** A controller of its own that is decorated as the application wants it. The class that it is made from stays as it is. */
export function decorated<T>(controller: Type<T>, decorators: readonly ClassDecorator[]): Type<T> {
  const made = { [controller.name]: class extends (controller as Type<object>) {} }[controller.name] as Type<T>;
  for (const decorate of [...decorators].reverse()) decorate(made); // as decorators above a class: the lowest first
  return made;
}
