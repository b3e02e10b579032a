# The programs of sysmon in one image: `sysmon` (every role and tool) and `sysmon-tui`.
#
#   docker build -t sysmon .                             the release
#   docker build -t sysmon --build-arg PROFILE=dev .     quick to build, for trying things out

# Which stage gives the programs: `build` makes them here; `ready` takes those in deploy/programs, which `cargo xtask ci`
# puts there because it has built them already. BuildKit leaves the other one out.
ARG PROGRAMS=build

FROM rust:1.95-bookworm AS build
ARG PROFILE=release
WORKDIR /source
COPY . .
# Downloads and object files stay in the builder's cache, so that a change costs what changed. Nobody debugs in the image,
# so nothing is spent on what only a debugger reads.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/source/target,sharing=locked \
    CARGO_PROFILE_DEV_DEBUG=none CARGO_INCREMENTAL=0 cargo build --locked --profile "$PROFILE" --package sysmon --bins \
    && folder=$(test "$PROFILE" = dev && echo debug || echo "$PROFILE") \
    && install -D --target-directory=/programs "target/$folder/sysmon" "target/$folder/sysmon-tui"

FROM scratch AS ready
COPY deploy/programs/ /programs/

FROM ${PROGRAMS} AS programs

FROM debian:bookworm-slim
COPY --from=rust:1.95-bookworm /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=programs /programs/ /usr/local/bin/
COPY --chmod=755 deploy/make-secrets /usr/local/lib/sysmon/make-secrets
# Volumes take over the owner of the folder that they are mounted on for the first time.
RUN useradd --system --uid 10001 --home-dir /var/lib/sysmon --no-create-home --shell /usr/sbin/nologin sysmon \
    && install -d -o sysmon -g sysmon -m 700 /var/lib/sysmon /run/sysmon \
    && install -d -o sysmon -g sysmon -m 755 /secrets /secrets/database /secrets/redis /secrets/aggregator \
       /secrets/collector /secrets/viewer
# The root file system may be read-only: what is kept is below /var/lib/sysmon, what is of the moment in /run/sysmon.
ENV HOME=/var/lib/sysmon \
    XDG_CONFIG_HOME=/etc \
    XDG_DATA_HOME=/var/lib \
    XDG_STATE_HOME=/var/lib \
    XDG_RUNTIME_DIR=/run
USER sysmon
WORKDIR /var/lib/sysmon
VOLUME /var/lib/sysmon
ENTRYPOINT ["sysmon"]
CMD ["aggregator"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["sysmon", "health", "http://127.0.0.1:50051"]
