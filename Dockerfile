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
# Reads the same settings as the server does: give them by GRUARD_CONFIG and other variables, not by options of `start`, and it knows port, TLS and token too.
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s CMD ["node", "bin/gruard.js", "health"]
ENTRYPOINT ["node", "bin/gruard.js"]
CMD ["start"]
