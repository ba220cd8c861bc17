# -*- shell-script -*-
# Copyright (c) 2026 The vmlat authors.
#
# Copying and distribution of this file, with or without modification,
# are permitted in any medium without royalty provided the copyright
# notice and this notice are preserved.  This file is offered as-is,
# without warranty of any kind.

# From a clone to a built daemon: for utilities/vmlat-check and
# utilities/vmlat-sandbox, which source this with vmlat_srcdir set to the
# clone.  Works under bash.
#
#   vmlat_setup       installs the packages that are missing and builds
#   vmlat_step        runs one long command and shows that it goes on
#   vmlat_die         one line on stderr, exit 1
#
# vmlat_setup sets vmlat_builddir (and VMLAT_JOBS, if not set, to the number of
# processors).  A second run finds everything up to date in a second or two.

# vmlat_die MESSAGE...
vmlat_die () {
    echo "${0##*/}: $*" >&2
    exit 1
}

# vmlat_step [-n LINES] [-f] TEXT LOG COMMAND...
#
# Runs COMMAND with its output in LOG and shows TEXT and the time it has taken,
# or, when LINES tells about how many lines it prints, how far it is: in place
# on a terminal, else a line every 30 seconds.  Says nothing about a command
# that is done within 2 seconds.  A command that fails ends the script, with
# the end of LOG; with -f it returns the command's status instead.
vmlat_step () {
    local lines= fail= text log pid start now shown=0 percent tty= rc
    while :; do
        case $1 in
        -n) lines=$2; shift 2 ;;
        -f) fail=yes; shift ;;
        *) break ;;
        esac
    done
    text=$1 log=$2
    shift 2
    test ! -t 2 || tty=yes

    "$@" > "$log" 2>&1 < /dev/null &
    pid=$!
    start=$SECONDS
    while kill -0 $pid 2> /dev/null; do
        now=$((SECONDS - start))
        if test $now -ge 2; then
            percent=
            if test -n "$lines"; then
                percent=$(($(wc -l < "$log") * 100 / lines))
                test $percent -lt 99 || percent=99
                percent="$percent %, "
            fi
            if test -n "$tty"; then
                printf '\r%s... %s%d s \033[K' "$text" "$percent" $now >&2
                shown=1
            elif test $shown = 0 || test $((now - shown)) -ge 30; then
                test $shown != 0 || echo "$text..." >&2
                test $now -lt 30 || echo "$text... $percent$now s" >&2
                shown=$now
            fi
            sleep 1
        else
            sleep 0.1
        fi
    done
    wait $pid
    rc=$?
    now=$((SECONDS - start))
    if test $shown != 0 && test $rc = 0; then
        test -z "$tty" || printf '\r' >&2
        printf '%s: done in %d s' "$text" $now >&2
        test -z "$tty" || printf ' \033[K' >&2
        echo >&2
    elif test $shown != 0 && test -n "$tty"; then
        echo >&2
    fi
    if test $rc != 0 && test -z "$fail"; then
        tail -n 20 "$log" >&2
        vmlat_die "$text: failed (all of its output is in $log)"
    fi
    return $rc
}

# Prints the packages of build-aux/debian-packages that are not installed.
vmlat_missing_packages () {
    local wanted
    wanted=$(sed 's/#.*//' "$vmlat_srcdir/build-aux/debian-packages")
    # shellcheck disable=SC2086
    dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' $wanted \
        2> /dev/null | awk -v wanted="$wanted" '
            $2 == "installed" { sub(/:.*/, "", $1); have[$1] = 1 }
            END {
                n = split(wanted, name)
                for (i = 1; i <= n; i++) {
                    if (!(name[i] in have)) {
                        print name[i]
                    }
                }
            }'
}

# Installs what is missing.  Services that a package brings are not started.
vmlat_install_packages () {
    local missing log=$1
    if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null
    then
        vmlat_die "no apt here: install what build-aux/debian-packages names," \
            "then use ./boot.sh, ./configure, make"
    fi
    missing=$(echo $(vmlat_missing_packages))
    test -n "$missing" || return 0
    if test "$(id -u)" != 0; then
        vmlat_die "run me as root: packages are missing: $missing"
    fi
    echo "Packages to install: $missing" >&2
    vmlat_step "Reading the package lists" "$log" apt-get -q update
    # shellcheck disable=SC2086
    vmlat_step "Installing packages" "$log" \
        env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get -q -y --no-install-recommends install $missing
}

# vmlat_build LOG: configures, if need be, and builds.
vmlat_build () {
    local log=$1 lines=
    if test ! -x "$vmlat_srcdir/configure"; then
        vmlat_step "Preparing the build system" "$log" "$vmlat_srcdir/boot.sh"
    fi
    cd "$vmlat_builddir" || exit 1
    if test ! -f config.status; then
        vmlat_step "Configuring OVS and vmlat" "$log" "$vmlat_srcdir/configure"
    fi
    # The lines that building OVS and vmlat prints.
    if test ! -f ovs/built; then
        lines=460
    fi
    vmlat_step ${lines:+-n $lines} "Building" "$log" \
        make -j"$VMLAT_JOBS" all
    cd "$OLDPWD" || exit 1
}

# vmlat_setup: everything, from a fresh clone to a built daemon.
vmlat_setup () {
    # A clone that was configured in its own folder is built there: automake
    # cannot build it elsewhere then.
    vmlat_builddir=$vmlat_srcdir/_build
    if test -f "$vmlat_srcdir/config.status"; then
        vmlat_builddir=$vmlat_srcdir
    fi
    : "${VMLAT_JOBS:=$(nproc)}"
    mkdir -p "$vmlat_builddir/check" || exit 1
    vmlat_install_packages "$vmlat_builddir/check/packages.log"
    vmlat_build "$vmlat_builddir/check/build.log"
}
