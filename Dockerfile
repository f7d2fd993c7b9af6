# syntax=docker/dockerfile:1
# The container image: the program, the C library it needs, and the authorities of the web. No
# shell, no package manager. Both base images are arguments, so that it can be built where other
# registries are used.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-bookworm
ARG RUNTIME_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin cardproof
# What the program is linked to, at the places where it looks for it.
RUN mkdir -p /image/usr/bin /image/etc/ssl/certs \
    && cp target/release/cardproof /image/usr/bin/cardproof \
    && for library in $(ldd /image/usr/bin/cardproof | grep -o '/[^ ]*'); do \
           mkdir -p "/image${library%/*}" && cp -L "$library" "/image$library" || exit 1; \
       done \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt \
    && echo 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' >/image/etc/passwd \
    && echo 'nonroot:x:65532:' >/image/etc/group \
    && cp LICENSE THIRD_PARTY_NOTICES.md /image/

FROM ${RUNTIME_IMAGE}
COPY --from=build /image/ /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 50051 9464
ENTRYPOINT ["/usr/bin/cardproof"]
CMD ["serve"]
