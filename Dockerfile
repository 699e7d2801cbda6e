# syntax=docker/dockerfile:1
# The image of the controller: docker build --tag REGISTRY/crossinvoke:TAG .
#
# The binary is linked to glibc, so the image is distroless/cc: glibc, libgcc, CA certificates and a user, without shell or
# package manager. A static binary would need a C toolchain for musl, since the TLS library and the allocator are C.
# Both stages are of Debian 13: the glibc that is linked is the one that is run.
ARG RUST_VERSION=1.95

FROM rust:${RUST_VERSION}-trixie AS build
WORKDIR /src
# The workspace's members are read, not built: cargo wants all of them to be there.
COPY Cargo.toml Cargo.lock ./
COPY tests/fakeaws tests/fakeaws
COPY tests/harness tests/harness
COPY src src
# The caches stay on the builder; what they hold is not in the image, so the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin crossinvoke \
    && cp target/release/crossinvoke /usr/local/bin/crossinvoke

FROM gcr.io/distroless/cc-debian13:nonroot
LABEL org.opencontainers.image.title="crossinvoke" \
      org.opencontainers.image.description="Lets a CodePipeline stage invoke a Lambda function in another AWS account" \
      org.opencontainers.image.url="https://crossinvoke.dev" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY LICENSE /usr/share/doc/crossinvoke/LICENSE
COPY --from=build /usr/local/bin/crossinvoke /usr/local/bin/crossinvoke
# A number, since the kubelet cannot tell whether a name is root (runAsNonRoot); it is distroless's user nonroot.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/crossinvoke"]
CMD ["run"]
