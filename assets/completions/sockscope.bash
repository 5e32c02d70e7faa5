# Completion of sockscope for bash. Readline breaks words at : and =, filters do not; so the line is split here.
_sockscope() {
    local line="${COMP_LINE:0:COMP_POINT}" words=() before
    read -ra words <<<"$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    local raw="${words[${#words[@]} - 1]}" candidate quoted found=()
    # What is typed, without its quotes; nothing in it is evaluated.
    local cur="${raw//[\\\'\"]/}"
    words[${#words[@]} - 1]="$cur"
    # Read without splitting into words by name patterns (globbing).
    while IFS= read -r -d $'\013' candidate || [[ -n "$candidate" ]]; do
        found+=("$candidate")
        candidate=""
    done < <(
        COMPLETE=bash _CLAP_IFS=$'\013' _CLAP_COMPLETE_INDEX=$((${#words[@]} - 1)) \
            _CLAP_COMPLETE_COMP_TYPE="${COMP_TYPE:-9}" _CLAP_COMPLETE_SPACE=false \
            "${words[0]}" -- "${words[@]}" 2>/dev/null
    )
    # Readline replaces only what follows its own last break.
    before="${cur%"${cur##*[:=]}"}"
    COMPREPLY=()
    for candidate in "${found[@]}"; do
        candidate="${candidate#"$before"}"
        # A process may be named $(reboot).
        quoted="$candidate"
        [[ "$candidate" == *[!a-zA-Z0-9_@%+=:,./-]* ]] && printf -v quoted %q "$candidate"
        # Inside of an open quote only what needs none.
        [[ "$raw" == *[\'\"]* && "$quoted" != "$candidate" ]] || COMPREPLY+=("$quoted")
    done
    if [[ ${#COMPREPLY[@]} == 1 && "${COMPREPLY[0]}" == *[:\>=,/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _sockscope sockscope
