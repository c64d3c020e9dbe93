#!/bin/sh
# Installs xlclass on a fresh Debian 12, as in the image: Java, a virtual environment with the packages of constraints.txt,
# Delta's jars, the encoder that SETTINGS name, jobs and settings, and an unprivileged user.
#   install.sh [SETTINGS]     as root, from a writable checkout; SETTINGS is conf/local.toml by default
# It uses the machine's package indexes, proxies and certificates: pip's and apt's configuration, /usr/local/share/ca-certificates.
set -eu

source=$(cd "$(dirname "$0")/../.." && pwd)
settings=${1:-$source/conf/local.toml}
place=/opt/xlclass
user=xlclass
home=/var/lib/$user  # the systemd unit may write here

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -y -q --no-install-recommends ca-certificates openjdk-17-jre-headless python3 python3-venv tini
rm -rf /var/lib/apt/lists/*

groupadd --gid 10001 "$user"
useradd --uid 10001 --gid 10001 --create-home --home-dir "$home" --shell /usr/sbin/nologin "$user"

python3 -m venv "$place/.venv"
[ -n "${PIP_CACHE_DIR:-}" ] || export PIP_NO_CACHE_DIR=1  # keeps pip's downloads out of the image
"$place/.venv/bin/pip" install --quiet --disable-pip-version-check --constraint "$source/constraints.txt" "$source[muse]"

cp -R "$source/jobs" "$source/conf" "$place/"
install -m 755 "$source/conf/deploy/entrypoint.sh" "$place/entrypoint.sh"

# The encoder is in the user's cache, which is the default of encoder.cache, and belongs to root.
HOME=$home "$place/.venv/bin/xlclass" setup --conf "$settings"
mkdir -p /lake
chown "$user:$user" /lake
