//! What `make install` and `make deb` put on a machine: shells complete by it, readers of manuals show it, and the package has it.

#![allow(clippy::unwrap_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::process::Command;

use support::process::run;
use support::{PATIENCE, Scratch};

fn dist(name: &str) -> String {
    format!("{}/dist/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Lines typed, and a word that each is completed with.
const TYPED: [(&str, &str); 6] = [
    ("pillarbox stat", "status"),
    ("pillarbox queue rel", "release"),
    ("pillarbox export --with", "--with-secrets"),
    ("pillarbox mail export ann out --format mb", "mbox"),
    ("pillarbox help smarthost.por", "smarthost.port"),
    ("pillarbox multipop import-state --as", "--as-own"),
];

/// Catches: a file of completions that bash does not take, or that completes nothing.
#[test]
fn bash_completes() {
    for (line, word) in TYPED {
        let script = r#"set -u; source "$1"; read -ra COMP_WORDS <<<"$2"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _pillarbox
            printf '%s\n' "${COMPREPLY[@]}""#;
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", script, "bash", &dist("completions/pillarbox.bash"), line]);
        let said = run(&mut bash, PATIENCE).success();
        assert_eq!(said.trim(), word, "{line}");
    }
}

#[test]
fn fish_completes() {
    let home = Scratch::new("fish");
    for (line, word) in TYPED {
        let mut fish = Command::new("fish");
        let script = "source $argv[1]; complete -C $argv[2]";
        fish.args(["--no-config", "-c", script, &dist("completions/pillarbox.fish"), line]);
        fish.env("HOME", home.path());
        let said = run(&mut fish, PATIENCE).success();
        let words: Vec<&str> = said.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(words, [word], "{line}: {said}");
    }
}

/// zsh completes at a terminal only: one of its own types the lines, presses TAB, and has the line written down.
#[test]
fn zsh_completes() {
    let home = Scratch::new("zsh");
    let out = home.join("out");
    let script = r#"zmodload zsh/zpty; zpty z "zsh -f -i"
        zpty -w z "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; written() { print -r -- \$BUFFER >>$2; BUFFER= }"
        zpty -w z "zle -N written; bindkey '^X' written; print ready >$2"
        written() { for i in {1..200}; do zpty -rt z said; (( $(wc -l <$2 2>/dev/null) >= $1 )) && return; sleep 0.05; done; exit 1 }
        written 1 $2
        n=1
        for line in "${@:3}"; do zpty -wn z "$line"$'\t'; sleep 0.3; zpty -wn z $'\x18'; written $((++n)) $2; done
        zpty -d z"#;
    let mut zsh = Command::new("zsh");
    zsh.args(["-f", "-c", script, "zsh", &dist("completions"), out.to_str().unwrap()]);
    zsh.args(TYPED.map(|(line, _)| line)).env("HOME", home.path()).env("TERM", "dumb");
    run(&mut zsh, PATIENCE).success();
    let written = std::fs::read_to_string(&out).unwrap();
    for ((line, word), completed) in TYPED.iter().zip(written.lines().skip(1)) {
        let (before, _) = line.rsplit_once(' ').unwrap();
        assert_eq!(completed.trim_end(), format!("{before} {word}"));
    }
    assert_eq!(written.lines().count(), TYPED.len() + 1);
}

/// Catches: a manual that is shown with mistakes.
#[test]
fn manuals_are_clean() {
    for (page, told) in
        [("man/pillarbox.1", "queue flush"), ("man/pillarbox.toml.5", "per_account_authentication")]
    {
        let mut lint = Command::new("mandoc");
        // The page has no date, which would be one of the day it was made.
        lint.args(["-T", "lint", "-W", "warning", &dist(page)]);
        let outcome = run(&mut lint, PATIENCE);
        let found = outcome.text().lines().filter(|line| !line.contains("missing date")).count();
        assert_eq!(found, 0, "{}", outcome.text());
        let shown = run(Command::new("mandoc").args(["-T", "ascii", &dist(page)]), PATIENCE).success();
        let plain: String = shown.split('\u{8}').fold(String::new(), |mut text, part| {
            text.pop();
            text + part
        });
        assert!(plain.contains(told), "{plain}");
    }
}

/// Catches: a package that lacks something or has it in the wrong place, that says a path that is not so, or is another one each time.
#[test]
fn the_package_has_all_of_it() {
    let scratch = Scratch::new("deb");
    let build = |out: &str, umask: &str| {
        // As somebody would who lets others read nothing, or write everything.
        let mut deb = Command::new("sh");
        deb.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh", &dist("deb.sh")]);
        // A small program in the place of ours, which a debug build makes large.
        deb.args(["/bin/true", "amd64"]).env("OUT", scratch.join(out)).env("SOURCE_DATE_EPOCH", "1700000000");
        std::fs::read(run(&mut deb, PATIENCE).success().trim()).unwrap()
    };
    let one = build("one", "077");
    assert!(one == build("two", "002"), "another package each time");
    let package = scratch.write("package.deb", one);
    let package = package.to_str().unwrap();
    let content = run(Command::new("dpkg-deb").args(["--contents", package]), PATIENCE).success();
    for (mode, path) in [
        ("-rwxr-xr-x root/root", "usr/bin/pillarbox"),
        ("-rw-r--r-- root/root", "lib/systemd/system/pillarbox.service"),
        ("-rw-r--r-- root/root", "usr/lib/sysusers.d/pillarbox.conf"),
        ("-rw-r--r-- root/root", "usr/share/man/man1/pillarbox.1.gz"),
        ("-rw-r--r-- root/root", "usr/share/man/man5/pillarbox.toml.5.gz"),
        ("-rw-r--r-- root/root", "usr/share/bash-completion/completions/pillarbox"),
        ("-rw-r--r-- root/root", "usr/share/zsh/vendor-completions/_pillarbox"),
        ("-rw-r--r-- root/root", "usr/share/fish/vendor_completions.d/pillarbox.fish"),
        ("-rw-r--r-- root/root", "usr/share/doc/pillarbox/status.schema.json"),
        ("-rw-r--r-- root/root", "usr/share/doc/pillarbox/copyright"),
    ] {
        let has = |line: &str| line.starts_with(mode) && line.ends_with(&format!(" ./{path}"));
        assert!(content.lines().any(has), "{path}\n{content}");
    }
    let control = run(Command::new("dpkg-deb").args(["--field", package]), PATIENCE).success();
    let version = format!("Version: {}\n", env!("CARGO_PKG_VERSION"));
    for field in ["Package: pillarbox\n", &version, "Architecture: amd64\n", "Depends: libc6 (>= 2."] {
        assert!(control.contains(field), "{control}");
    }
    // What is installed by hand says its own place.
    let root = scratch.join("root");
    let mut install = Command::new(dist("install.sh"));
    install.arg("/bin/true").env("DESTDIR", &root).env("PREFIX", "/opt/mail");
    run(&mut install, PATIENCE).success();
    let unit = std::fs::read_to_string(root.join("opt/mail/lib/systemd/system/pillarbox.service")).unwrap();
    assert!(unit.contains("\nExecStart=/opt/mail/bin/pillarbox run --data /var/lib/pillarbox\n"), "{unit}");
    assert!(root.join("opt/mail/bin/pillarbox").exists());
}
