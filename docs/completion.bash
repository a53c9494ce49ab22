# Completion of Boxcamp's commands and options in bash and zsh: source docs/completion.bash
# It completes `python -m submit ...` in a checkout; other uses of python complete as before.

_boxcamp_packages="data_tools models ensemble submit experiments workflow"

_boxcamp() {
    local package=${COMP_WORDS[2]-} word=${COMP_WORDS[COMP_CWORD]} kind value
    COMPREPLY=()
    if [[ ${COMP_WORDS[1]-} != -m ]]; then
        return
    fi
    if (( COMP_CWORD == 2 )); then
        COMPREPLY=($(compgen -W "$_boxcamp_packages" -- "$word"))
        return
    fi
    if [[ " $_boxcamp_packages " != *" $package "* || ! -f $package/cli.py ]]; then
        return
    fi
    # click asks for the words as one program's: `python -m submit` is the first of them.
    while IFS=, read -r kind value; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            dir | file) COMPREPLY=(); compopt -o default 2>/dev/null; return ;;
        esac
    done < <(
        COMP_WORDS="$package ${COMP_WORDS[*]:3}" COMP_CWORD=$((COMP_CWORD - 2)) \
            _BOXCAMP_COMPLETE=bash_complete "${COMP_WORDS[0]}" -c \
            "from $package.cli import main; main(prog_name='$package', complete_var='_BOXCAMP_COMPLETE')" \
            2>/dev/null
    )
}

complete -o default -F _boxcamp python python3 .venv/bin/python
