# The root file system of the managed plugin, made from a pinned Debian instead of this machine's own programs.
#
#   npm ci && npm run build                         dist/ and the Node.js of package-lock.json come from here
#   docker build -t tsnet-rootfs .
#   npm run plugin:build -- --from-image tsnet-rootfs
#
# BASE is any Debian or a descendant; one that has the packages below already needs no network. `npm` is not run in
# here: node_modules and dist/ are what the lockfile made them, and so the same as in the tests.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS closure
# iproute2: ip and bridge. nftables: nft, and libnftables for the daemon. binutils: strip, for node. The other programs
# (setpriv, env, ldd) are in every Debian.
RUN dpkg -s iproute2 nftables binutils >/dev/null 2>&1 \
 || { apt-get update && apt-get install -y --no-install-recommends iproute2 nftables binutils; }
WORKDIR /tsnet
COPY node_modules/node-linux-*/bin/node /usr/local/bin/node
COPY config.json package.json ./
COPY dist dist
COPY plugin/build.ts plugin/build.ts
RUN node plugin/build.ts

FROM scratch
COPY --from=closure /tsnet/build/plugin/rootfs /
ENTRYPOINT ["/usr/bin/node", "/usr/lib/tsnet/tsnet.js"]
