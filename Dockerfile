ARG NODE=24

FROM node:${NODE}-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
# No package needs its install script, neither for the build nor to run.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run --silent build && node tools/pack.mjs /service

FROM node:${NODE}-slim
WORKDIR /service
COPY --from=build /service .
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
# The image's user `node`, as a number, so that Kubernetes can tell that it is not root. It may not change what it runs.
USER 1000:1000
EXPOSE 8080
# Whether it answers at all: a node that is full or drains is not ready, and must not be ended for that.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/live`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# As npm start has it, but without npm and a shell: signals reach the service.
CMD ["node", "--expose-gc", "--max-semi-space-size=2", "dist/main.js"]
