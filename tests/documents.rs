//! What the documents say: their links and names lead somewhere, their figures are the code's, their examples run.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a scenario that cannot go on fails")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pillarbox::config::text;
use support::appliance::{binary, pillarbox};
use support::process::run_with_input;
use support::{Appliance, PATIENCE};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All documents, by their paths below the root.
fn documents() -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/decisions", "board"];
    let mut found = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "{found:?}");
    found
}

/// Blocks of code with their language, of one document.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (None, Some((_, block))) => *block += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block without an end: {open:?}");
    blocks
}

/// What stands outside of blocks of code.
fn prose(text: &str) -> String {
    let mut inside = false;
    let is_prose = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    };
    text.lines().filter(is_prose).map(|line| format!("{line}\n")).collect()
}

/// The anchors of its headings, as forges make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter_map(|line| line.strip_prefix('#'));
    let slug = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// Catches: a link to a file that was moved, or to a heading that has other words now.
#[test]
fn links_lead_somewhere() {
    let mut dead = Vec::new();
    let mut links = 0;
    for document in documents() {
        let text = read(&document);
        let prose = prose(&text);
        for target in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") {
                continue;
            }
            links += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => document.clone(),
                _ => document.parent().unwrap().join(file),
            };
            let leads =
                root().join(&path).exists() && (anchor.is_empty() || anchors(&read(&path)).contains(anchor));
            if !leads {
                dead.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(links > 100, "{links} links: where are the others?");
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

/// Catches: a document that names a file which is gone.
#[test]
fn files_that_are_named_are_there() {
    const FOLDERS: [&str; 8] = ["src/", "tests/", "docs/", "image/", "board/", "fuzz/", "benches/", "dist/"];
    let mut gone = Vec::new();
    for document in documents().into_iter().filter(|document| !document.ends_with("CHANGELOG.md")) {
        let prose = prose(&read(&document));
        let named = prose.split('`').skip(1).step_by(2);
        for name in named.filter(|name| FOLDERS.iter().any(|folder| name.starts_with(folder))) {
            // A pattern, or words in capitals that stand for something.
            let is_pattern = name.contains(['*', '…', ' ', '{', '<'])
                || name.split(['/', '.', '_']).any(|part| {
                    part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase()) && part != "README"
                })
                || name.contains("_N");
            if !is_pattern && !root().join(name.trim_end_matches('/')).exists() {
                gone.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(gone.is_empty(), "named, but gone:\n{}", gone.join("\n"));
}

/// Catches: a function in the journeys of docs/architecture.md that has another name now.
#[test]
fn functions_of_the_journeys_are_there() {
    let architecture = read("docs/architecture.md");
    let (_, journeys) = architecture.split_once("## Five journeys").unwrap();
    let mut source = String::new();
    sources(&root().join("src"), &mut source);
    let words: BTreeSet<&str> = source.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let functions: BTreeSet<&str> =
        source.split("fn ").skip(1).map(|it| it.split(['(', '<']).next().unwrap()).collect();
    // A type, a variant, or a module.
    let is_known = |part: &str| match part.starts_with(char::is_lowercase) {
        true => {
            functions.contains(part)
                || root().join("src").join(part).exists()
                || source.contains(&format!("mod {part}"))
        }
        false => words.contains(part),
    };
    let mut missing = Vec::new();
    let mut names = 0;
    for name in journeys.split('`').skip(1).step_by(2) {
        let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
        if name.contains("::") && name.chars().all(is_path) {
            names += 1;
            missing.extend(name.split("::").filter(|part| !is_known(part)).map(|_| name));
        }
    }
    assert!(names > 80, "{names} functions: where are the others?");
    assert!(missing.is_empty(), "not in the code: {missing:?}");
}

fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, text),
            false if path.extension().is_some_and(|ending| ending == "rs") => {
                *text += &fs::read_to_string(path).unwrap()
            }
            false => {}
        }
    }
}

/// Catches: a figure of docs/store.md that is not the code's any more.
#[test]
fn constants_of_the_store_are_those_of_the_code() {
    let document = read("docs/store.md");
    let table = document.split("<!-- constants: begin -->").nth(1).unwrap();
    let table = table.split("<!-- constants: end -->").next().unwrap();
    let mut rows = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let [_, file, name, value, ..] = cells[..] else { panic!("{row}") };
        rows += 1;
        assert_eq!(constant(&read(file), name).to_string(), value, "{file}: {name}");
    }
    assert!(rows > 40, "{rows} rows: where are the others?");
}

/// The value of the constant `name` in a file of the code.
fn constant(source: &str, name: &str) -> u64 {
    let declared = format!("const {name}:");
    let (_, rest) = source.split_once(&declared).unwrap_or_else(|| panic!("there is no constant {name}"));
    let expression = rest.split_once('=').unwrap().1.split(';').next().unwrap();
    sum(expression, source)
}

/// Numbers, names of the same file, `+`, `-`, `*`, `/`, `<<` and casts; no parentheses are needed so far.
fn sum(expression: &str, source: &str) -> u64 {
    let expression = expression.trim();
    if let Some((left, right)) = expression.split_once("<<") {
        return sum(left, source) << sum(right, source);
    }
    if let Some((left, right)) = expression.rsplit_once(" - ") {
        return sum(left, source) - sum(right, source);
    }
    if let Some((left, right)) = expression.rsplit_once(" + ") {
        return sum(left, source) + sum(right, source);
    }
    if let Some((left, right)) = expression.rsplit_once(" / ") {
        return sum(left, source) / sum(right, source);
    }
    if let Some((left, right)) = expression.split_once(" * ") {
        return sum(left, source) * sum(right, source);
    }
    let word = expression.split(" as ").next().unwrap().trim();
    let plain = word.replace('_', "");
    let digits = plain.trim_end_matches(|c: char| c.is_alphabetic() || c == ' ');
    match (word.starts_with("0x"), plain.starts_with(|c: char| c.is_ascii_digit())) {
        (true, _) => u64::from_str_radix(plain.trim_start_matches("0x"), 16).unwrap(),
        (false, true) => digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap(),
        (false, false) => constant(source, word.rsplit("::").next().unwrap()),
    }
}

/// Before an example that is a part of a configuration only.
const FRAME: &str = "[server]\ndomains = [\"home.example\"]\n[[account]]\nname = \"office\"\n\
                     address = \"office@home.example\"\npassword = \"open sesame\"\n";

/// Catches: a configuration in a document that `check` refuses.
#[test]
fn configurations_in_documents_are_right() {
    let mut examples = 0;
    for document in documents() {
        for (_, block) in blocks(&read(&document)).into_iter().filter(|(language, _)| language == "toml") {
            examples += 1;
            let whole = match block.contains("[server]") {
                true => block,
                false => format!("{FRAME}{block}"),
            };
            if let Err(problems) = text::parse(whole.as_bytes(), None) {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                panic!("{}: {}\n{whole}", document.display(), problems.join("\n"));
            }
        }
    }
    assert!(examples >= 5, "{examples} examples: where are the others?");
}

/// Catches: a command in a document with a verb or an option that there is not, and a target that `make` does not know.
#[test]
fn commands_in_documents_are_known() {
    let makefile = read("Makefile");
    let mut commands = 0;
    for document in documents() {
        for (language, block) in blocks(&read(&document)) {
            if !matches!(&*language, "sh" | "console") {
                continue;
            }
            for line in block.lines() {
                let line = line.trim_start_matches("$ ").split(" #").next().unwrap();
                let line = line.trim().trim_start_matches("sudo ");
                let words: Vec<&str> = line.split_whitespace().collect();
                match words[..] {
                    ["pillarbox", ref given @ ..] => {
                        commands += 1;
                        known(given, &document, line);
                    }
                    ["make", target, ..] => {
                        let rule = format!("\n{target}:");
                        assert!(makefile.contains(&rule), "{}: {line}: no such target", document.display());
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(commands > 15, "{commands} commands: where are the others?");
}

/// The verb, of one word or two, has a help, and its help names each option.
fn known(words: &[&str], document: &Path, line: &str) {
    let verb: Vec<&str> =
        words.iter().copied().take_while(|word| word.starts_with(char::is_alphabetic)).collect();
    let help = (1..=verb.len().min(2)).rev().find_map(|n| {
        let outcome = pillarbox(&[&["help"], &verb[..n]].concat());
        (outcome.code == Some(0)).then(|| outcome.text())
    });
    let help = help.unwrap_or_else(|| panic!("{}: {line}: no such verb", document.display()));
    for option in words.iter().filter(|word| word.starts_with("--")) {
        assert!(
            help.contains(option),
            "{}: {line}: {option} is not in the help:\n{help}",
            document.display()
        );
    }
}

/// What the operator's console says to the lines of the manual that begin with `> `, where the first of them is `first`.
fn typed(first: &str, config: &str) -> String {
    let manual = read("docs/operator.md");
    let block = blocks(&manual).into_iter().map(|(_, block)| block).find(|block| block.starts_with(first));
    let block = block.unwrap_or_else(|| panic!("no block begins with {first}"));
    let mut lines = String::new();
    for line in block.lines().filter_map(|line| line.strip_prefix("> ")) {
        lines += &format!("{line}\n");
        // A password is asked for, and once more.
        if line.starts_with("password ") {
            lines += "open sesame\nopen sesame\n";
        }
    }
    let appliance = Appliance::start(config);
    let mut console = Command::new(binary());
    console.args(["console", "--data"]).arg(appliance.data());
    run_with_input(&mut console, lines.as_bytes(), PATIENCE).success()
}

/// Catches: a dialog of the manual that the console does not know any more.
#[test]
fn dialogs_of_the_manual_are_what_the_console_says() {
    let said = typed("> add app-password office phone", FRAME);
    assert!(said.contains("it is not shown again"), "{said}");
    let row = said.lines().find(|line| line.starts_with("office")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words, ["office", "phone", "imap,", "submission", "not", "since", "the", "start"]);

    let said = typed("> add account office", &FRAME.replace("office", "demo"));
    assert!(said.contains("pop.provider.example"), "{said}");
}
