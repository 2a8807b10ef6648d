/** Longer than a `traceparent` and the longest `tracestate` that has to be passed on (W3C Trace Context, section 3.3.1.5). */
const longestTrace = 1024;
const visibleAscii = /^[\x21-\x7e][\x20-\x7e]*$/;

/** A symbol shows neither in JSON nor among the keys of a message. */
const traceKey = Symbol('trace');

interface Traced {
  [traceKey]?: string;
}

/** Whether a text is one that messages carry as their trace: a line of ASCII. */
export function isTrace(text: string): boolean {
  return text.length <= longestTrace && visibleAscii.test(text);
}

/** The content with a trace, if there is one. */
export function withTrace<Content extends object>(content: Content, trace: string | undefined): Content & { readonly trace?: string } {
  return trace === undefined ? content : { ...content, trace };
}

/** Gives a message of the application a trace, which `notedTrace()` finds. */
export function noteTrace(message: object, trace: string): void {
  (message as Traced)[traceKey] = trace;
}

/** The trace that a message of the application was given. */
export function notedTrace(message: object): string | undefined {
  return (message as Traced)[traceKey];
}
