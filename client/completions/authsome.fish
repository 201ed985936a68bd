# Completion of authsome for fish. What can be typed is asked of `authsome complete`, which asks the
# daemon if one runs; nothing that comes back is evaluated. Commands behind `authsome run --` are
# completed as they are by themselves.

function __authsome_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    # variables that are set for this command alone
    while string match -q -- '*=*' "$words[1]"
        set -e words[1]
    end
    set -l lines (command authsome complete -- $words "$current" 2>/dev/null)
    set -q lines[1]; or return
    set -l kind (string split \t -- $lines[1])
    set -e lines[1]
    switch "$kind[1]"
        case command
            # drops what stands before the command
            for word in (seq $kind[2])
                set -e words[1]
            end
            set -l line (string join ' ' -- (string escape -- $words) "$current")
            complete -C "$line"
        case files
            __fish_complete_path "$current"
        case words
            if set -q lines[1]
                printf '%s\n' $lines
            end
    end
end

complete -c authsome -f -a '(__authsome_complete)'
