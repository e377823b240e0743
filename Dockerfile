# The image of the product: one binary and the few files of Debian that it needs. Every Deployment of `helm/` runs it.
#
#   docker build --tag nadeuri:0.1.0 .

# The compiler of rust-toolchain.toml.
FROM rust:1.95.0-bookworm AS build
# The base image has that compiler; without this, rustup would install the components for linting.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
# Cargo's downloads and build output are cached on the build machine, so that the next image compiles only what changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package nadeuri \
    && cp target/release/nadeuri /nadeuri
# The C library, which resolves names by nsswitch.conf, and the loader, at the paths of this architecture; the roots of public
# certificate authorities, for all that is called over TLS. Time zones and SQLite are in the binary.
RUN mkdir -p /image/etc/ssl/certs /image/usr/local/bin \
    && ldd /nadeuri | grep -o '/[^ ]*' | xargs -I{} cp --parents --dereference {} /image \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
    && echo 'nadeuri:x:65532:65532::/:' > /image/etc/passwd \
    && cp /nadeuri /image/usr/local/bin/

# No shell and no package manager: only the product can be run, and only the product needs updates.
FROM scratch
COPY --from=build /image /
# A number, because Kubernetes can't see from a name that it is not root.
USER 65532:65532
# On SIGTERM it finishes calls in flight.
ENTRYPOINT ["/usr/local/bin/nadeuri"]
