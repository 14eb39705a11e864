# Builds for amd64 and arm64: what is native comes as prebuilt bindings (DuckDB; optional dependencies, so they are not left out), and the engine is
# WebAssembly. TensorFlow, which is optional, is left out: it would be larger than all the rest.
FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts && rm -rf node_modules/@tensorflow

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /opt/gruard
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules ./node_modules
COPY --from=build /build/bin ./bin
COPY --from=build /build/dist ./dist
COPY --from=build /build/model/weights ./model/weights
COPY --from=build /build/config/gruard.example.yaml ./config/
RUN install -d -o node -g node /var/lib/gruard
USER node
VOLUME /var/lib/gruard
ENV GRUARD_DATA_DIR=/var/lib/gruard
EXPOSE 8480 1883
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["node", "-e", "fetch('http://127.0.0.1:8480/v1/health').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "bin/gruard.js"]
CMD ["start"]
