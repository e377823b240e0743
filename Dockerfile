# The image of the product: one binary, which `helm/` runs as every Deployment.
#
#   docker build --tag nadeuri:0.1.0 .

# The compiler of rust-toolchain.toml, on the Debian that the last stage has too, so that the C library is the same.
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

# The C library and its resolver come with it; time zones and SQLite are in the binary.
FROM debian:bookworm-slim
# The roots of public certificate authorities: for issuers' JWKS, and PostgreSQL over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /nadeuri /usr/local/bin/nadeuri
# Nobody in particular, by number: by a name Kubernetes can't see that it is not root.
USER 65532:65532
# SIGTERM makes it finish what is under way.
ENTRYPOINT ["nadeuri"]
