# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Shared by the scripts that keep their products in the cache folder. Sourced, not run.

# shellcheck disable=SC2034
scripts=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
cache=${SPILLWAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/spillway}
mkdir -p "$cache"
cache=$(realpath "$cache")
PATH=$PATH:/usr/sbin:/sbin # depmod, for whoever is not root

say() { echo "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

# product NAME BUILD INPUT... : sets $product to the folder that the function BUILD makes from these
# inputs (texts: whatever decides the result). BUILD gets an empty folder beside it to fill; that is
# renamed into place at the end, so an interrupted build never looks finished. The lock keeps two
# builds of the same thing apart.
product() {
    local name=$1 build=$2 key lock
    shift 2
    key=$(printf '%s\0' "$@" | sha256sum)
    product=$cache/$name-${key:0:16}
    [[ ! -d $product ]] || return 0
    exec {lock}>"$cache/.$name.lock"
    flock -n "$lock" || { say "waiting for another build of $name"; flock "$lock"; }
    if [[ ! -d $product ]]; then
        unfinished=$(mktemp -d "$cache/.$name.XXXXXX")
        trap 'rm -rf "$unfinished"' EXIT
        chmod 755 "$unfinished"
        "$build" "$unfinished" >&2
        mv -T "$unfinished" "$product"
        trap - EXIT
    fi
    exec {lock}>&-
}

# apt_private FOLDER TYPE SUITE ARCHITECTURE: makes the array $apt options for apt-get that let it see
# only this suite and architecture (TYPE deb or deb-src; the security suite too, when the machine
# knows one for it), from the mirror and with the keys of the machine's own configuration, and keep
# all its state in FOLDER.
apt_private() {
    local folder=$1 type=$2 suite=$3 architecture=$4 mirrors uri security
    mkdir -p "$folder/lists/partial" "$folder/archives/partial"
    : >"$folder/status"
    mirrors=$(apt-get update --print-uris | sed -nE "s,^'(.*)/dists/([^']*)/InRelease'.*,\2 \1,p")
    uri=$(awk '$1 ~ /^(bookworm|oldstable|stable|trixie)$/ {print $2; exit}' <<<"$mirrors")
    security=$(awk -v suite="$suite-security" '$1 == suite {print $2; exit}' <<<"$mirrors")
    [[ -n $uri ]] || die "found no Debian mirror in the machine's apt configuration"
    printf '%s\n' "$type $uri $suite main" ${security:+"$type $security $suite-security main"} \
        >"$folder/sources.list"
    apt=(-q -o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture"
        -o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$folder/lists" -o "Dir::State::status=$folder/status"
        -o "Dir::Cache=$folder" -o APT::Sandbox::User= -o Acquire::Retries=2
        -o Acquire::Languages=none)
}

# A list that fails to load does harm only if a download then fails.
apt_update() {
    apt-get "${apt[@]}" -o APT::Update::Error-Mode=any update ||
        say "some package lists did not load: going on with those that did and older ones"
}
