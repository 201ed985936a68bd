# Completion of authsome for bash. What can be typed is asked of `authsome complete`, which asks the
# daemon if one runs; nothing that comes back is evaluated. With bash-completion, commands behind
# `authsome run --` are completed as they are by themselves.

_authsome() {
    COMPREPLY=()
    # bash cuts words at `=` and `:`; only blanks divide them for us
    local line=${COMP_LINE:0:COMP_POINT} i last=-1 word blank
    local -a words=() starts=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        blank=${line%%[![:space:]]*}
        line=${line#"$blank"}
        word=${COMP_WORDS[i]}
        if ((i == COMP_CWORD)); then
            word=$line
        else
            line=${line#"$word"}
        fi
        if ((last < 0)) || [[ -n $blank ]]; then
            last=$((last + 1))
            words[last]=$word
            starts[last]=$i
        else
            words[last]=${words[last]}$word
        fi
    done

    local current=${words[last]} kind='' at=0 value text
    while IFS=$'\t' read -r value text; do
        if [[ -z $kind ]]; then
            kind=$value at=$text
        else
            COMPREPLY[${#COMPREPLY[@]}]=$value
        fi
    done < <(command authsome complete -- "${words[@]}" 2>/dev/null)

    case $kind in
    command)
        if declare -F _comp_command_offset >/dev/null; then
            _comp_command_offset "${starts[at]}"
        elif declare -F _command_offset >/dev/null; then
            _command_offset "${starts[at]}"
        elif ((at == last)) && [[ $current != */* ]]; then
            while read -r value; do
                COMPREPLY[${#COMPREPLY[@]}]=$value
            done < <(compgen -c -- "$current")
        else
            _authsome_files "$current"
        fi
        ;;
    files)
        _authsome_files "$current"
        ;;
    words)
        # what stands before the last `=` is a word of its own to bash
        if [[ $COMP_WORDBREAKS == *=* && $current == *=* ]]; then
            for i in "${!COMPREPLY[@]}"; do
                COMPREPLY[i]=${COMPREPLY[i]#"${current%=*}="}
            done
        fi
        ;;
    esac
}

# Leaves file names to readline, which knows how to quote them; bash 3.2 cannot be told so.
_authsome_files() {
    local value
    if ! compopt -o default 2>/dev/null; then
        while read -r value; do
            COMPREPLY[${#COMPREPLY[@]}]=$value
        done < <(compgen -f -- "$1")
    fi
}

complete -F _authsome authsome
