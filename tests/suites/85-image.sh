#!/usr/bin/env bash
# The Dockerfile, built by buildah on base images that are made here, and what came of it run as its
# own user on a read-only root. The compiler is left out: the build image's `cargo` hands over the
# binary that is already built, so that the suite tests the image and not the compiler again.
set -euo pipefail

buildah="$(scripts/tool buildah)"
binary="${CARDPROOF_BIN:-${CARGO_TARGET_DIR:-target}/release/cardproof}"
if [[ ! -x "$binary" ]]; then
    cargo build --release --locked
fi
[[ "$(id -u)" == 0 ]] || { echo "image: buildah's chroot isolation needs root here" >&2; exit 1; }

work="$(mktemp -d)"
build() { "$buildah" --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
mounted=""
cleanup() {
    if [[ -n "$mounted" ]]; then umount "$mounted" || true; fi
    rm -rf "$work"
}
trap cleanup EXIT

# a build image of this machine's own tools
base="$work/base"
mkdir -p "$base/tmp"
programs=(sh bash mkdir cp ldd grep cat)
for program in "${programs[@]}"; do
    path="$(command -v "$program")"
    mkdir -p "$base/usr/bin"
    cp -L "$path" "$base/usr/bin/$program"
done
ln -s usr/bin "$base/bin"
for library in $( (ldd "$binary"; for program in sh bash mkdir cp grep cat; do ldd "$base/usr/bin/$program"; done) | grep -o '/[^ ]*' | sort -u); do
    mkdir -p "$base${library%/*}"
    cp -L "$library" "$base$library"
done
mkdir -p "$base/etc/ssl/certs"
cp -L /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/"
cp -L "$binary" "$base/prebuilt"
cat >"$base/usr/bin/cargo" <<'SCRIPT'
#!/bin/sh
set -e
[ "$*" = "build --release --locked --bin cardproof" ]
# what cargo would read must have come along
for name in Cargo.toml Cargo.lock build.rs src/main.rs config/default.toml proto data tests/emulator/Cargo.toml tests/outside/main.rs; do
    [ -e "$name" ] || { echo "not in the build context: $name"; exit 1; }
done
[ ! -e .git ]
mkdir -p target/release
cp /prebuilt target/release/cardproof
SCRIPT
chmod 755 "$base/usr/bin/cargo"
container="$(build from scratch)"
build copy --quiet "$container" "$base" / >/dev/null
build config --env PATH=/usr/bin "$container"
build commit --quiet "$container" localhost/build-image >/dev/null

build bud --isolation chroot --pull-never --build-arg BUILD_IMAGE=localhost/build-image \
    --tag localhost/cardproof --file Dockerfile . >"$work/bud.log" 2>&1 || { cat "$work/bud.log"; exit 1; }

container="$(build from --pull-never localhost/cardproof)"
root="$(build mount "$container")"
bytes="$(du --summarize --bytes "$root" | cut -f1)"
echo "image: $((bytes / 1000)) kB unpacked"
[[ "$bytes" -lt 30000000 ]] || { echo "image: 30 MB or more" >&2; exit 1; }
[[ "$(build inspect --type image --format '{{.OCIv1.Config.User}}' localhost/cardproof)" == 65532:65532 ]]
[[ -s "$root/etc/ssl/certs/ca-certificates.crt" ]]
[[ ! -e "$root/bin/sh" && ! -e "$root/usr/bin/sh" ]] || { echo "image: there is a shell" >&2; exit 1; }

# a root that cannot be written, and the image's own user
mkdir "$work/readonly"
mount --bind "$root" "$work/readonly"
mounted="$work/readonly"
mount -o remount,bind,ro "$work/readonly"
if touch "$work/readonly/written" 2>/dev/null; then echo "image: the root can be written" >&2; exit 1; fi
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
chroot="$(PATH="$PATH:/usr/sbin:/sbin" command -v chroot)"
enter=(env -i CARDPROOF__SERVER__LISTEN=127.0.0.1:0 "CARDPROOF__SERVER__ADMIN_LISTEN=127.0.0.1:$port"
    "$chroot" --userspec=65532:65532 "$work/readonly" /usr/bin/cardproof)
"${enter[@]}" check-config
"${enter[@]}" serve >"$work/serve.log" 2>&1 &
server=$!
healthy=no
for _ in $(seq 100); do
    if "${enter[@]}" healthcheck --service readiness >/dev/null 2>&1; then healthy=yes; break; fi
    sleep 0.05
done
user="$(stat --format %u "/proc/$server" 2>/dev/null || true)"
kill "$server"
wait "$server" || { cat "$work/serve.log"; echo "image: the service did not end well" >&2; exit 1; }
[[ "$healthy" == yes ]] || { cat "$work/serve.log"; echo "image: never ready" >&2; exit 1; }
[[ "$user" == 65532 ]] || { echo "image: ran as user $user" >&2; exit 1; }
echo "image: served as user 65532 on a read-only root"
