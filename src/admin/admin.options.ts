import { type CanActivate, type Type } from '@nestjs/common';
import * as v from 'valibot';
import { authOptionRules } from '../feed/auth/auth.options.js';
import { checkOptions } from '../feed/errors/option-rules.js';

/** Who the routes of operators are open to. */
export interface AdminOptions {
  /**
   * Key that opens them: one or more visible ASCII characters, sent as `Authorization: Bearer <key>` or `X-Feed-Key: <key>`. Several are valid
   * at once, so that one can take another's place. Default: none, so that they need a token with the claim `admin: true`.
   */
  key?: string | readonly string[] | undefined;
}

/** The options as they are checked: keys as a list. */
export interface ResolvedAdminOptions {
  readonly key?: readonly string[] | undefined;
}

/** What is known when the module is imported; in `forRootAsync()` it is next to the factory. */
export interface AdminModuleExtras {
  /** The path of the routes. Default: `admin`. */
  path?: string | undefined;
  /** The guards of the routes, in the place of `AdminGuard`. Default: `[AdminGuard]`. */
  guards?: readonly (CanActivate | Type<CanActivate>)[] | undefined;
  /** Put on the controllers, such as the one with which your global guard knows public routes. Default: `[]`. */
  decorators?: readonly ClassDecorator[] | undefined;
}

/** Injects the checked options. */
export const ADMIN_OPTIONS = Symbol('ADMIN_OPTIONS');

/** @throws FeedOptionsError */
export function checkAdminOptions(options: AdminOptions): ResolvedAdminOptions {
  return checkOptions('AdminModule', { key: v.optional(authOptionRules.publishKey) }, { key: undefined, ...options }, [
    'path',
    'guards',
    'decorators',
  ]);
}
