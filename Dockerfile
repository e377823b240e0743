# The image of the product: one binary with the few files of Debian that it needs, which `helm/` runs as every Deployment.
#
#   docker build --tag nadeuri:0.1.0 .

# The compiler of rust-toolchain.toml.
FROM rust:1.95.0-bookworm AS build
# It is that compiler already; rustup need not look for the parts that only linting takes.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
# Cargo's downloads and what it built stay on the machine that builds, so that the next image compiles only what changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package nadeuri \
    && cp target/release/nadeuri /nadeuri
# The C library, which resolves names by what nsswitch.conf says, and the loader, wherever this architecture has them; the
# roots of public certificate authorities, for issuers' JWKS and PostgreSQL over TLS. Time zones and SQLite are in the binary.
RUN mkdir -p /image/etc/ssl/certs /image/usr/local/bin \
    && ldd /nadeuri | grep -o '/[^ ]*' | xargs -I{} cp --parents --dereference {} /image \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
    && echo 'nadeuri:x:65532:65532::/:' > /image/etc/passwd \
    && cp /nadeuri /image/usr/local/bin/

# No shell, no package manager: nothing to be run but the product, nothing to be updated but with it.
FROM scratch
COPY --from=build /image /
# Nobody in particular, by number: by a name Kubernetes can't see that it is not root.
USER 65532:65532
# SIGTERM makes it finish what is under way.
ENTRYPOINT ["/usr/local/bin/nadeuri"]
