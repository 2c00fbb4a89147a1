//! The manual pages and shell completions in `dist/`, made from the tables of verbs and of settings. They are stored, so that
//! nothing has to run where they are installed. A test compares them with the tables: `UPDATE_DIST=1` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::arguments::{Operand, VERBS, Verb, all_verbs};
use super::help;

/// The topics of `help` besides verbs and settings.
const SECTIONS: [&str; 10] = [
    "server",
    "listen",
    "network",
    "tls",
    "smarthost",
    "multipop",
    "account",
    "app_password",
    "source",
    "oauth2",
];

/// The first words of verbs, each with its verbs.
fn words() -> BTreeMap<&'static str, Vec<&'static Verb>> {
    let mut words: BTreeMap<&'static str, Vec<&'static Verb>> = BTreeMap::new();
    for verb in VERBS {
        words.entry(verb.name.split(' ').next().unwrap()).or_default().push(verb);
    }
    words
}

/// Every topic of `help`: verbs, sections, settings.
fn topics() -> Vec<String> {
    let mut topics: Vec<String> =
        all_verbs().map(|verb| verb.name.split(' ').next().unwrap().to_owned()).collect();
    for section in SECTIONS {
        topics.push(section.to_owned());
        topics.extend(settings(section).iter().map(|(key, _)| format!("{section}.{key}")));
    }
    topics.sort();
    topics.dedup();
    topics
}

/// The keys of a section with their defaults, each with its help.
fn settings(section: &str) -> Vec<(String, String)> {
    let text = help::on(Some(section)).unwrap();
    // Where a verb has the same name as the section, `help` shows the verb and not the section.
    let text = if VERBS.iter().any(|verb| verb.name.split(' ').next() == Some(section)) {
        pillarbox::config::help::on(section).unwrap()
    } else {
        text
    };
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let key = |line: &str| line.split(" = ").next().unwrap().trim().to_owned();
    lines.chunks(2).map(|pair| (key(pair[0]), pair[1].trim().to_owned())).collect()
}

/// The help on `verb` as one line.
fn one_line(verb: &Verb) -> String {
    verb.help.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn options(verb: &Verb) -> Vec<&'static str> {
    verb.options.iter().map(|choice| choice.name).chain(["--help"]).collect()
}

/// What kind of values an option or an operand called `value` has.
fn kind(value: &str) -> &str {
    match value {
        "DIR" | "RUNDIR" => "folder",
        "FILE.toml" | "FILE" | "DEVICE" | "DEST" | "SRC" => "file",
        "TOPIC" => "topic",
        // The user types the number.
        "N|account|all" => "account|all",
        words if words.contains('|') => words,
        _ => "",
    }
}

fn bash() -> String {
    let mut text = String::from(
        "# Completion of pillarbox for bash; made from the program's own tables.\n\
         _pillarbox() {\n  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}\n  \
         COMPREPLY=()\n  local firsts='",
    );
    let firsts: Vec<&str> = words().keys().copied().collect();
    let _ = writeln!(text, "{} --help --version'", firsts.join(" "));
    text += "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    mapfile -t COMPREPLY < <(compgen -W \"$firsts\" -- \"$cur\")\n    return\n  fi\n";
    let seconds: Vec<_> = words().into_iter().filter(|(_, verbs)| verbs[0].name.contains(' ')).collect();
    text += "  local skip=2\n  case $verb in\n";
    for (first, verbs) in &seconds {
        let second: Vec<&str> =
            verbs.iter().filter_map(|verb| verb.name.split_once(' ')).map(|(_, it)| it).collect();
        let _ = writeln!(
            text,
            "  {first})\n    if [ \"$COMP_CWORD\" -eq 2 ]; then\n      mapfile -t COMPREPLY < <(compgen -W '{} --help' -- \"$cur\")\n      \
             return\n    fi\n    verb=\"$verb ${{COMP_WORDS[2]}}\" skip=3 ;;",
            second.join(" ")
        );
    }
    text += "  esac\n  local options='' operands=''\n  case $verb in\n";
    for verb in VERBS {
        let operands: Vec<&str> = verb.operands.iter().map(|it| kind(it.name())).collect();
        let kinds =
            operands.iter().map(|kind| if kind.is_empty() { "none" } else { kind }).collect::<Vec<_>>();
        let _ = writeln!(
            text,
            "  '{}') options='{}' operands='{}' ;;",
            verb.name,
            options(verb).join(" "),
            kinds.join(" ")
        );
    }
    text += "  esac\n  local kind=''\n  case $verb:$prev in\n";
    for verb in VERBS {
        for choice in verb.options {
            if let Some(value) = choice.value {
                let kind = kind(value);
                let kind = if kind.is_empty() { "none" } else { kind };
                let _ = writeln!(text, "  '{}:{}') kind='{kind}' ;;", verb.name, choice.name);
            }
        }
    }
    let _ = write!(
        text,
        "  esac\n  if [ -z \"$kind\" ]; then\n    case $cur in -*)\n      mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n      \
         return ;;\n    esac\n    # Which operand it is: those before it, without options and their values.\n    \
         local at=0 i word\n    for ((i = skip; i < COMP_CWORD; i++)); do\n      word=${{COMP_WORDS[i]}}\n      \
         case $word in\n      {}) i=$((i + 1)) ;;\n      -*) ;;\n      *) at=$((at + 1)) ;;\n      esac\n    done\n    \
         local kinds=($operands)\n    kind=${{kinds[at]-none}}\n  fi\n  case $kind in\n  \
         folder) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ; compopt -o filenames ;;\n  \
         file) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ; compopt -o filenames ;;\n  \
         topic) mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\") ;;\n  none) ;;\n  \
         *) mapfile -t COMPREPLY < <(compgen -W \"${{kind//|/ }}\" -- \"$cur\") ;;\n  esac\n}}\n\
         complete -F _pillarbox pillarbox\n",
        valued().join("|"),
        topics().join(" ")
    );
    text
}

/// The options that have a value.
fn valued() -> Vec<&'static str> {
    let mut names: Vec<&str> = VERBS
        .iter()
        .flat_map(|verb| verb.options)
        .filter(|it| it.value.is_some())
        .map(|it| it.name)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Escapes a text for single quotes: for zsh's `_arguments` and `_describe`, and for fish.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}

fn zsh() -> String {
    let action = |value: &str| match kind(value) {
        "folder" => "_files -/".to_owned(),
        "file" => "_files".to_owned(),
        "topic" => format!("({})", topics().join(" ")),
        // zsh shows a message, and offers nothing to choose.
        "" => "()".to_owned(),
        words => format!("({})", words.replace('|', " ")),
    };
    let escaped = |text: &str| {
        quoted(&text.replace('\\', "\\\\").replace(':', "\\:").replace('[', "\\[").replace(']', "\\]"))
    };
    let mut text = String::from(
        "#compdef pillarbox\n# Completion of pillarbox for zsh; made from the program's own tables.\n_pillarbox() {\n",
    );
    text += "  local context state state_descr line\n  typeset -A opt_args\n  local -a words_of\n  local verb=$words[2]\n  if (( CURRENT == 2 )); then\n    words_of=(\n";
    for (first, verbs) in words() {
        let _ = writeln!(text, "      '{first}:{}'", escaped(&one_line(verbs[0])));
    }
    text += "    )\n    _describe command words_of\n    _arguments '--help[all commands]' '--version[the version]'\n    return\n  fi\n  local skip=1\n  case $verb in\n";
    for (first, verbs) in words().into_iter().filter(|(_, verbs)| verbs[0].name.contains(' ')) {
        let _ = writeln!(text, "  {first})\n    if (( CURRENT == 3 )); then\n      words_of=(");
        for verb in verbs {
            let _ = writeln!(
                text,
                "        '{}:{}'",
                verb.name.split_once(' ').unwrap().1,
                escaped(&one_line(verb))
            );
        }
        text += "      )\n      _describe command words_of\n      return\n    fi\n    verb=\"$verb $words[3]\" skip=2 ;;\n";
    }
    text += "  esac\n  shift $skip words\n  (( CURRENT -= skip ))\n  case $verb in\n";
    for verb in VERBS {
        let _ = write!(text, "  '{}') _arguments '--help[all about it]'", verb.name);
        for choice in verb.options {
            let again = if choice.name == "-c" { "*" } else { "" };
            match choice.value {
                Some(value) => {
                    let _ = write!(
                        text,
                        " '{again}{}[{}]:{}:{}'",
                        choice.name,
                        value.replace('|', " or "),
                        value.replace('|', " or "),
                        action(value)
                    );
                }
                None => {
                    let _ = write!(text, " '{again}{}[]'", choice.name);
                }
            }
        }
        for operand in verb.operands {
            let optional = if matches!(operand, Operand::Optional(_)) { "::" } else { ":" };
            let _ = write!(
                text,
                " '{optional}{}:{}'",
                operand.name().replace('|', " or "),
                action(operand.name())
            );
        }
        text += " ;;\n";
    }
    text + "  esac\n}\nif [ \"$funcstack[1]\" = _pillarbox ]; then _pillarbox \"$@\"; else compdef _pillarbox pillarbox; fi\n"
}

fn fish() -> String {
    let mut text = String::from(
        "# Completion of pillarbox for fish; made from the program's own tables.\ncomplete -c pillarbox -f\n",
    );
    text += "complete -c pillarbox -n __fish_use_subcommand -l help -d 'all commands'\ncomplete -c pillarbox -n __fish_use_subcommand -l version -d 'the version'\n";
    for (first, verbs) in words() {
        let _ = writeln!(
            text,
            "complete -c pillarbox -n __fish_use_subcommand -a {first} -d '{}'",
            fish_quoted(&one_line(verbs[0]))
        );
        let seconds: Vec<&str> =
            verbs.iter().filter_map(|verb| verb.name.split_once(' ')).map(|(_, it)| it).collect();
        for verb in verbs {
            let mut here = format!("__fish_seen_subcommand_from {first}");
            if let Some((_, second)) = verb.name.split_once(' ') {
                let _ = writeln!(
                    text,
                    "complete -c pillarbox -n '{here}; and not __fish_seen_subcommand_from {}' -a {second} -d '{}'",
                    seconds.join(" "),
                    fish_quoted(&one_line(verb))
                );
                let _ = write!(here, "; and __fish_seen_subcommand_from {second}");
            }
            for choice in verb.options {
                let name = match choice.name.strip_prefix("--") {
                    Some(long) => format!("-l {long}"),
                    None => format!("-s {}", choice.name.trim_start_matches('-')),
                };
                let value = choice.value.map(|value| match kind(value) {
                    "folder" => " -x -a '(__fish_complete_directories)'".to_owned(),
                    "file" => " -r -F".to_owned(),
                    "" => " -x".to_owned(),
                    words => format!(" -x -a '{}'", words.replace('|', " ")),
                });
                let _ =
                    writeln!(text, "complete -c pillarbox -n '{here}' {name}{}", value.unwrap_or_default());
            }
            for operand in verb.operands {
                match kind(operand.name()) {
                    "file" => {
                        let _ = writeln!(text, "complete -c pillarbox -n '{here}' -F");
                    }
                    "topic" => {
                        let _ =
                            writeln!(text, "complete -c pillarbox -n '{here}' -a '{}'", topics().join(" "));
                    }
                    _ => {}
                }
            }
        }
    }
    text
}

fn fish_quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

/// Escapes a text for roff: no line becomes a request, and what looks like a hyphen can be copied.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text.lines().map(|line| match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn head(name: &str, section: u8, what: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        ".\\\" Made from the program's own tables.\n.TH {name} {section} \"\" \"pillarbox {version}\" \"\"\n.SH NAME\n{what}\n"
    )
}

/// The text of `pillarbox(1)`.
fn manual() -> String {
    let mut text = head("PILLARBOX", 1, "pillarbox \\- a mail appliance for a home or a small office");
    text +=
        ".SH SYNOPSIS\n.B pillarbox\n.RI [ command ]\n.RI [ operands ]\n.RI [ options ]\n.SH DESCRIPTION\n";
    text += "Pillarbox collects mail by MultiPOP, keeps it, serves it by POP3 and IMAP, and sends it through one smarthost.\n\
             Without a command it serves, as with\n.BR run .\n.SH COMMANDS\n";
    for verb in VERBS {
        let _ = writeln!(text, ".TP\n.B {}\n{}", roff(&verb.usage()), roff(&one_line(verb)));
    }
    text += ".SH OPTIONS\n.TP\n.B \\-\\-help\nafter a command: all about it; alone: all commands\n.TP\n.B \\-\\-version\nthe version\n.TP\n.BI \\-\\-data \" DIR\"\n\
             the data folder, pillarbox\\-data where it is not given; of an installed service /var/lib/pillarbox\n";
    text += ".SH EXIT STATUS\n.TP\n.B 0\ndone\n.TP\n.B 1\nthe input is wrong\n.TP\n.B 2\nthe command line is wrong\n.TP\n.B 3\n\
             the system refused: a port, a file, a permission\n";
    text += ".SH ENVIRONMENT\n.TP\n.B RUST_LOG\nwhich lines are logged:\n.BR error ,\n.BR warn ,\n.B info\n(where it is not set),\n.B debug\n\
             .TP\n.B JOURNAL_STREAM\nset by\n.BR systemd (1):\nlog lines for the journal have no time of their own\n";
    text += ".SH FILES\nBelow the data folder:\n.TP\n.I config.postcard\nthe settings in force; as text by\n.B pillarbox export\n.TP\n.I accounts/\n\
             mail, a folder for each account\n.TP\n.I queue/\nwhat waits for the smarthost\n.TP\n.I tls/\nthe local CA\n.RI ( ca.pem ,\nwhich devices import)\nand the server's certificate\n\
             .TP\n.I console.sock\nthe operator's console\n";
    text + ".SH SEE ALSO\n.BR pillarbox.toml (5)\n"
}

/// The text of `pillarbox.toml(5)`.
fn settings_manual() -> String {
    let mut text = head("PILLARBOX.TOML", 5, "pillarbox.toml \\- settings of the mail appliance pillarbox");
    text += ".SH DESCRIPTION\nSettings as text, in TOML:\n.B pillarbox import\nputs them in force,\n.B pillarbox check\ntells every mistake in them,\nand\n\
             .B pillarbox export\nprints those that are in force. Unknown keys are errors. Durations are written 10m, 1h, 5d; sizes 25MiB, 1GiB.\n\
             What is not given has the value shown here.\n";
    for section in SECTIONS {
        let told = pillarbox::config::help::on(section).unwrap();
        let _ = writeln!(text, ".SH \"{}\"", roff(told.lines().next().unwrap()));
        let lines: Vec<&str> = told.lines().skip(1).collect();
        for pair in lines.chunks(2) {
            let _ = writeln!(text, ".TP\n.B {}\n{}", roff(pair[0].trim()), roff(pair[1].trim()));
        }
    }
    text + ".SH EXAMPLE\n.nf\n[server]\ndomains = [\"pillarbox.local\"]\n\n[[account]]\nname = \"ann\"\naddress = \"ann@pillarbox.local\"\n\
            password = \"choose a long one\"\n.fi\n.SH SEE ALSO\n.BR pillarbox (1)\n"
}

/// Catches: a verb, an option or a setting that the stored files lack.
#[test]
fn the_stored_files_are_those_of_the_tables() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist");
    for (name, text) in [
        ("completions/pillarbox.bash", bash()),
        ("completions/_pillarbox", zsh()),
        ("completions/pillarbox.fish", fish()),
        ("man/pillarbox.1", manual()),
        ("man/pillarbox.toml.5", settings_manual()),
    ] {
        let path = folder.join(name);
        if std::env::var_os("UPDATE_DIST").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        } else {
            let stored = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                stored == text,
                "{name} is not what the tables say: UPDATE_DIST=1 cargo test --bin pillarbox dist"
            );
        }
    }
}
