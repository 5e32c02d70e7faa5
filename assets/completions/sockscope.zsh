#compdef sockscope
# Completion of sockscope for zsh. The program matches what is typed itself: a value such as process="my app" begins with a quote.
_sockscope() {
    local -a found
    local line
    # What is typed without its quotes; nothing in it is evaluated.
    while IFS= read -r line; do
        found+=("$line")
    done < <(
        COMPLETE=zsh _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX=$((CURRENT - 1)) \
            "${words[1]}" -- "${(@Q)words}" 2>/dev/null
        print
    )
    found=("${(@)found:#}")
    # -U: not matched again. Quoted when inserted, since -Q is not given.
    (( ${#found} )) && _describe -V values found -U -S ''
}
compdef _sockscope sockscope
