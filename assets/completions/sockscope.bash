# Completion of sockscope for bash. Readline breaks words at : and =, filters do not; so the line is split here.
_sockscope() {
    local line="${COMP_LINE:0:COMP_POINT}" words=() before
    read -ra words <<<"$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    local cur="${words[${#words[@]} - 1]}" IFS=$'\013'
    COMPREPLY=($(
        COMPLETE=bash _CLAP_IFS="$IFS" _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) \
            _CLAP_COMPLETE_COMP_TYPE="${COMP_TYPE:-9}" _CLAP_COMPLETE_SPACE=false \
            "${words[0]}" -- "${words[@]}" 2>/dev/null
    ))
    # Readline replaces only what follows its own last break.
    before="${cur%"${cur##*[:=]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    if [[ ${#COMPREPLY[@]} == 1 && "${COMPREPLY[0]}" == *[:\>=,/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _sockscope sockscope
