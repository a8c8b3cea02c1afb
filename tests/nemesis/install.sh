#!/usr/bin/env bash
# What the nemesis needs beside Python: ip (namespaces, links) and strace (failing and slow syncs). Without root or a
# package manager it installs nothing: the faults that need them are then skipped, by name.
set -euo pipefail

if command -v ip >/dev/null && command -v strace >/dev/null; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "nemesis: no ip or no strace, and no rights to install them: their faults will be skipped" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends iproute2 strace; } >&2; then
    echo "nemesis: ip and strace could not be installed: their faults will be skipped" >&2
fi
