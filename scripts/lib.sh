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

# apt_private FOLDER TYPE SUITE ARCHITECTURES: makes the array $apt options for apt-get that let it
# see only this suite and these architectures (with commas, the first is the native one; TYPE deb or
# deb-src; the security suite too, when the machine knows one for it), from the mirror and with the
# keys of the machine's own configuration, and keep all its state in FOLDER.
apt_private() {
    local folder=$1 type=$2 suite=$3 architectures=$4 mirrors uri security
    mkdir -p "$folder/lists/partial" "$folder/archives/partial"
    : >"$folder/status"
    mirrors=$(apt-get update --print-uris | sed -nE "s,^'(.*)/dists/([^']*)/InRelease'.*,\2 \1,p")
    uri=$(awk '$1 ~ /^(bookworm|oldstable|stable|trixie)$/ {print $2; exit}' <<<"$mirrors")
    security=$(awk -v suite="$suite-security" '$1 == suite {print $2; exit}' <<<"$mirrors")
    [[ -n $uri ]] || die "found no Debian mirror in the machine's apt configuration"
    printf '%s\n' "$type $uri $suite main" ${security:+"$type $security $suite-security main"} \
        >"$folder/sources.list"
    apt=(-q -o "APT::Architecture=${architectures%%,*}" -o "APT::Architectures=$architectures"
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

# guest_packages MAX_AGE: sets $unpacked to a folder with what is in Debian 12's packages of the guest:
# the ppc64el kernel, its headers and the tools of this machine that build modules for it, and busybox,
# all of one version of the kernel; and $release to the kernel's release. The mirror is asked for a
# newer kernel when the last answer is older than MAX_AGE minutes. All are fetched together, because a
# mirror drops what is no longer the newest.
guest_packages() {
    local max_age=$1 latest=$cache/guest-packages.list
    local -a packages
    apt_private "$cache/apt-guest" deb bookworm "ppc64el,$(dpkg --print-architecture)"
    (
        flock 9
        [[ -z $(find "$latest" -mmin "-$max_age" 2>/dev/null) ]] || exit 0
        say "asking the mirror for the newest kernel"
        apt_update
        newest_packages >"$latest.new"
        mv "$latest.new" "$latest"
    ) 9>"$cache/.guest-packages.list.lock" >&2 || {
        [[ -f $latest ]] || die "found no ppc64el kernel with all its headers at the mirror, and none is cached"
        say "the mirror does not answer: using the kernel of the last time"
    }
    mapfile -t packages <"$latest"
    product guest-packages unpack_packages "${packages[@]}" "$(declare -f unpack_packages)"
    unpacked=$product
    release=$(ls "$unpacked/lib/modules")
}

# Prints PACKAGE=VERSION lines, or exits.
newest_packages() {
    local image version package
    read -r image version < <(apt-cache "${apt[@]}" show --no-all-versions linux-image-powerpc64le |
        sed -nE 's/^Depends: (linux-image-[^ ,]*) \(= ([^)]*)\).*/\1 \2/p') || exit 1
    # Headers are named after the release and after its beginning (6.1.0-50), tools after the series (6.1).
    [[ $image =~ ^linux-image-(([0-9]+\.[0-9]+)[-.0-9a-z+~]*)-powerpc64le$ ]] || exit 1
    for package in "$image" "linux-headers-${BASH_REMATCH[1]}-"{powerpc64le,common} \
        "linux-kbuild-${BASH_REMATCH[2]}:$(dpkg --print-architecture)"; do
        apt-cache "${apt[@]}" show "$package=$version" >/dev/null || exit 1
        echo "$package=$version"
    done
    apt-cache "${apt[@]}" show --no-all-versions busybox-static |
        awk '/^Package:/ {package = $2} /^Version:/ {print package "=" $2; found = 1} END {exit !found}' || exit 1
}

# apt-get has verified what it downloads: Release file by key, package by hash.
unpack_packages() {
    local out=$1 deb
    say "fetching ${packages[*]}"
    mkdir "$out/deb"
    (cd "$out/deb" && apt-get "${apt[@]}" download "${packages[@]}") || die "try scripts/guest --update"
    for deb in "$out/deb/"*.deb; do dpkg-deb -x "$deb" "$out"; done
    rm -r "$out/deb" "${out:?}/usr/share"
    # The headers' Makefile takes its other half from /usr/src.
    # shellcheck disable=SC2016
    sed -i 's,^include /usr/src/,include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))../,' \
        "$out"/usr/src/linux-headers-*-powerpc64le/Makefile
    depmod -b "$out" "$(ls "$out/lib/modules")"
}
