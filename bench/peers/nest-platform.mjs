/** Nest's platform by its name: `express` or `fastify`. Only the one that is asked for is loaded. */
export async function platform(name) {
  if (name === 'fastify') return new (await import('@nestjs/platform-fastify')).FastifyAdapter();
  return new (await import('@nestjs/platform-express')).ExpressAdapter();
}
