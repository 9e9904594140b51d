//! The scripts for each shell: they pass the words on and show what comes back.

use crate::program::Program;

/// The script for a shell, if we have one.
pub(super) fn script(shell: &str, program: Program) -> Option<String> {
    let text = match shell {
        "bash" => BASH,
        "zsh" => ZSH,
        "fish" => FISH,
        _ => return None,
    };
    Some(text.replace("PROGRAM", program.name()))
}

// A word with a colon (image:tag) is several words to bash; COMP_LINE has it whole.
const BASH: &str = r#"# bash completion for PROGRAM
_PROGRAM_complete() {
    local line=${COMP_LINE:0:COMP_POINT} words current files=0 word prefix
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[${#words[@]}-1]}
    COMPREPLY=()
    while IFS= read -r word; do
        case $word in
            :files) files=1 ;;
            :) ;;
            *) COMPREPLY+=("${word%%$'\t'*}") ;;
        esac
    done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
    if [[ $files == 1 && ${#COMPREPLY[@]} == 0 ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
    if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
        prefix=${current%"${current##*:}"}
        COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    fi
}
complete -F _PROGRAM_complete PROGRAM
"#;

const ZSH: &str = r#"#compdef PROGRAM
_PROGRAM_complete() {
    local -a offers
    local line files=0
    while IFS= read -r line; do
        case $line in
            :files) files=1 ;;
            :) ;;
            *$'\t'*) offers+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
            *) offers+=("${line//:/\\:}") ;;
        esac
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#offers} )); then
        _describe 'PROGRAM' offers
    elif (( files )); then
        _files
    fi
}
compdef _PROGRAM_complete PROGRAM
"#;

const FISH: &str = r#"# fish completion for PROGRAM
function __PROGRAM_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l offers ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    if test (count $offers) -eq 1 -a "$offers[1]" = ":files"
        __fish_complete_path "$current"
        return
    end
    for offer in $offers
        string match -q ':*' -- $offer; or echo $offer
    end
end
complete -c PROGRAM -f -a '(__PROGRAM_complete)'
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_calls_us_back_under_our_name() {
        for shell in ["bash", "zsh", "fish"] {
            let script = script(shell, Program::Wharf).unwrap();
            assert!(script.contains("wharf") && script.contains(crate::complete::CALL));
            assert!(!script.contains("PROGRAM"));
        }
        assert!(script("powershell", Program::Wharf).is_none());
    }
}
