# shellcheck shell=bash
# Copyright (c) 2026 The vmlat authors.
#
# Copying and distribution of this file, with or without modification,
# are permitted in any medium without royalty provided the copyright
# notice and this notice are preserved.  This file is offered as-is,
# without warranty of any kind.

# Completion of "ovs-appctl vmlat/..." and "ovs-vmlat" for bash.
#
# What there is to complete comes from the daemon: commands and their arguments
# from vmlat/help, ports from vmlat/status.  Anything else that ovs-appctl does
# is left to the completion that was there before, such as Open vSwitch's own
# ovs-appctl-bashcomp.bash: it has to be read first.

# _vmlat_appctl ARG...
#
# Runs ovs-appctl with the options on the command line.
_vmlat_appctl () {
    command ovs-appctl "${_vmlat_options[@]}" "$@" 2>/dev/null
}

# Splits the words before and at the cursor at spaces only.  bash splits at
# each of $COMP_WORDBREAKS, which most often has "=", ":" and ">" in it.
# Stores the words in 'words' and the place of the subcommand, or 0, in 'at'.
_vmlat_words () {
    local line=${COMP_LINE:0:COMP_POINT} i

    read -r -a words <<< "$line"
    case $line in
    *[[:space:]]) words+=("") ;;
    esac

    at=0
    _vmlat_options=()
    for ((i = 1; i < ${#words[@]}; i++)); do
        case ${words[i]} in
        -t|--target|-T|--timeout)
            _vmlat_options+=("${words[i]}" "${words[i + 1]}")
            ((i++))
            ;;
        -*) _vmlat_options+=("${words[i]}") ;;
        *) at=$i; return ;;
        esac
    done
}

# _vmlat_reply CURRENT CANDIDATE...
#
# Completes CURRENT.  bash replaces only what follows the last of its word
# breaks, so that is what it gets.
_vmlat_reply () {
    local current=$1 candidate cut
    shift

    cut=${current%"${current##*[=:>]}"}
    case $COMP_WORDBREAKS in
    *[=:\>]*) ;;
    *) cut= ;;
    esac
    for candidate; do
        case $candidate in
        "$current"*)
            candidate=${candidate#"$cut"}
            case $candidate in
            *=) compopt -o nospace 2>/dev/null ;;
            *) printf -v candidate %q "$candidate" ;;
            esac
            COMPREPLY+=("$candidate")
            ;;
        esac
    done
}

# Prints what "|" separates in $1, a word a line.
_vmlat_alternatives () {
    printf '%s\n' "$1" | tr '|' '\n'
}

# Prints all ports, or bridges with "bridge".
_vmlat_ports () {
    _vmlat_appctl vmlat/status -f csv --no-headings \
        | if test "$1" = bridge; then cut -d , -f 1; else cut -d , -f 2; fi \
        | sed '/^-$/d' | sort -u
}

_vmlat_directions () {
    local from to
    for from in vm wire host; do
        for to in vm wire host; do
            echo "$from-$to"
        done
    done
}

# _vmlat_values KIND
#
# Prints what there is of one KIND, a word a line.  What is no kind of word is
# a word itself.
_vmlat_values () {
    case $1 in
    bridge|port) _vmlat_ports "$1" ;;
    direction) _vmlat_directions ;;
    n) ;;
    file) compgen -f -- "$current" ;;
    command)
        _vmlat_appctl vmlat/help -f csv --no-headings \
            | sed 's|^vmlat/\([^,]*\),.*|\1|'
        ;;
    *) echo "$1" ;;
    esac
}

# Completes the arguments of the subcommand words[at].
_vmlat_arguments () {
    local current=${words[${#words[@]} - 1]} previous
    local command positions takes candidates=() place=0 i word key value

    while IFS=, read -r command positions takes _; do
        test "$command" = "${words[at]}" && break
        command=
    done < <(_vmlat_appctl vmlat/help -f csv --no-headings)
    test -n "$command" || return

    # Values of options and filters.
    previous=${words[${#words[@]} - 2]}
    for word in $takes; do
        word=${word#\[}
        word=${word%\]}
        case $word in
        -f|table*)
            # "[-f table|json|...]" is two words.
            test "$word" = -f && continue
            for value in $(_vmlat_alternatives "$word"); do
                case $previous in
                -f|--format) candidates+=("$value") ;;
                esac
                case $current in
                --format=*) candidates+=("--format=$value") ;;
                esac
            done
            case $previous in
            -f|--format) _vmlat_reply "$current" "${candidates[@]}"; return ;;
            esac
            candidates+=(-f --format=)
            ;;
        -*) candidates+=("$word") ;;
        *=*)
            key=${word%%=*}
            value=${word#*=}
            case $current in
            "$key="*)
                case $key in
                port|direction) value=$(_vmlat_values "$key") ;;
                *)
                    # In capitals stands what may be anything.
                    case $value in
                    *[!a-z0-9\|]*) value= ;;
                    *) value=$(_vmlat_alternatives "$value") ;;
                    esac
                    ;;
                esac
                while read -r i; do
                    test -n "$i" && candidates+=("$key=$i")
                done <<< "$value"
                ;;
            *) candidates+=("$key=") ;;
            esac
            ;;
        esac
    done

    # Bare words: this is number 'place' of them.
    for ((i = at + 1; i < ${#words[@]} - 1; i++)); do
        case ${words[i]} in
        -f|--format) ((i++)) ;;
        -*|*=*) ;;
        *) ((place++)) ;;
        esac
    done
    case $current in
    -*|*=*) ;;
    *)
        i=0
        for word in $positions; do
            word=${word#\[}
            word=${word%\]}
            if test $((i++)) = "$place"; then
                for key in $(_vmlat_alternatives "$word"); do
                    while read -r value; do
                        test -n "$value" && candidates+=("$value")
                    done < <(_vmlat_values "$key")
                done
            fi
        done
        # Options only when asked for: they would bury the rest.
        if test -z "$current"; then
            for i in "${!candidates[@]}"; do
                case ${candidates[i]} in
                -*) unset "candidates[i]" ;;
                esac
            done
        fi
        ;;
    esac
    _vmlat_reply "$current" "${candidates[@]}"
}

_vmlat_complete () {
    local words=() at _vmlat_options=()

    _vmlat_words
    if test "$at" -gt 0; then
        case ${words[at]} in
        vmlat/*)
            COMPREPLY=()
            if test "$at" -lt $((${#words[@]} - 1)); then
                _vmlat_arguments
            else
                # shellcheck disable=SC2046
                _vmlat_reply "${words[at]}" \
                    $(_vmlat_values command | sed 's,^,vmlat/,')
            fi
            return 0
            ;;
        esac
    fi
    if test -n "$_vmlat_completion_before"; then
        "$_vmlat_completion_before" "$@"
        return
    fi
    COMPREPLY=()
    if test "$at" -gt 0 && test "$at" = $((${#words[@]} - 1)); then
        _vmlat_reply "${words[at]}" vmlat/
        compopt -o nospace 2>/dev/null
    fi
    return 0
}

# Keep the completion that is there, unless it is this one.
_vmlat_completion_found=$(complete -p ovs-appctl 2>/dev/null)
case $_vmlat_completion_found in
*"-F _vmlat_complete "*) ;;
*"-F "*)
    _vmlat_completion_before=${_vmlat_completion_found##*-F }
    _vmlat_completion_before=${_vmlat_completion_before%% *}
    ;;
*) _vmlat_completion_before= ;;
esac
unset _vmlat_completion_found
complete -F _vmlat_complete ovs-appctl

# "ovs-vmlat": commands and options are those in its help.  Files are left to
# bash.
_ovs_vmlat_complete () {
    local words=() at _vmlat_options=() help current previous command i

    COMPREPLY=()
    _vmlat_words
    current=${words[${#words[@]} - 1]}
    previous=${words[${#words[@]} - 2]}
    for ((i = 1; i < ${#words[@]} - 1; i++)); do
        case ${words[i]} in
        -f|--format) ((i++)) ;;
        -*) ;;
        *) command=${words[i]}; break ;;
        esac
    done

    help=$(command ovs-vmlat --help 2>/dev/null) || return 0
    # shellcheck disable=SC2046
    case $previous,$current in
    -f,*|--format,*) _vmlat_reply "$current" table list html csv json ;;
    *,--format=*) _vmlat_reply "$current" \
        --format={table,list,html,csv,json} ;;
    *,--proto=*) _vmlat_reply "$current" --proto={icmp,tcp,udp} ;;
    *,--*=*) ;;
    *,-*)
        _vmlat_reply "$current" $(sed -n '/^Options/,$p' <<< "$help" \
            | grep -o -e '--[a-z-]*=\{0,1\}' | sort -u)
        ;;
    *)
        test -n "$command" || _vmlat_reply "$current" $(
            sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p' <<< "$help")
        ;;
    esac
    return 0
}

complete -o default -F _ovs_vmlat_complete ovs-vmlat
