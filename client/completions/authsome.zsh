#compdef authsome

# Completion of authsome for zsh. What can be typed is asked of `authsome complete`, which asks the
# daemon if one runs; nothing that comes back is evaluated. Commands behind `authsome run --` are
# completed as they are by themselves.

_authsome() {
    local -a lines candidates
    local line kind at value
    lines=("${(@f)$(command authsome complete -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    kind=${lines[1]%%$'\t'*}
    at=${lines[1]#*$'\t'}
    case $kind in
        (command)
            words=("${(@)words[at+1,-1]}")
            (( CURRENT -= at ))
            _normal -p authsome
            ;;
        (files)
            _files
            ;;
        (words)
            for line in "${(@)lines[2,-1]}"; do
                value=${line%%$'\t'*}
                candidates+=("${value//:/\\:}:${line#*$'\t'}")
            done
            _describe -t authsome 'authsome' candidates
            ;;
        (*)
            return 1
            ;;
    esac
}

if [[ ${funcstack[1]} == _authsome ]]; then
    # autoloaded from a folder of $fpath
    _authsome "$@"
elif (( $+functions[compdef] )); then
    compdef _authsome authsome
else
    print -u2 'authsome: completion needs `autoload -Uz compinit && compinit` before it'
fi
