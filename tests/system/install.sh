#!/usr/bin/env bash
# What some system tests need beside Python: systemd-analyze (units are checked by it; systemd need not run), prometheus
# and promtool. Without root or a package manager it installs nothing: the tests that need them are then skipped.
set -euo pipefail

if command -v systemd-analyze >/dev/null && command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "tests: no systemd-analyze, prometheus or promtool, and no rights to install them: their tests are skipped" >&2
    exit 0
fi
# Nothing is to be started by being installed.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd prometheus; } >&2; then
    echo "tests: systemd and prometheus could not be installed: their tests are skipped" >&2
fi
