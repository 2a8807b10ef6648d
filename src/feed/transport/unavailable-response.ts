/**
 * A whole response for a client whose request the application does not see (RFC 9110 section 15.6.4).
 *
 * @param retryAfter in seconds
 * @param body in ASCII
 */
export function unavailableResponse(retryAfter: number, type: string, body: string): string {
  return [
    'HTTP/1.1 503 Service Unavailable',
    `Retry-After: ${retryAfter}`,
    'Connection: close',
    `Content-Type: ${type}`,
    `Content-Length: ${body.length}`,
    `\r\n${body}`,
  ].join('\r\n');
}
