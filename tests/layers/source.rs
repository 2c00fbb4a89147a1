//! Rust text as far as it must be understood to see which module uses which.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of product code.
pub struct File {
    pub path: PathBuf,
    /// The module of the crate that it belongs to.
    pub room: String,
    /// How many modules it is in, its own among them.
    pub depth: usize,
    pub text: String,
}

/// The files of all modules that `lib`, the crate's root, and those that it names declare outside of tests; room by room.
pub fn product(lib: &Path) -> Vec<File> {
    let mut files = Vec::new();
    let text = fs::read_to_string(lib).unwrap();
    for room in declared(&text) {
        walk(lib.parent().unwrap(), &room, &room, 1, &mut files);
    }
    files
}

fn walk(folder: &Path, name: &str, room: &str, depth: usize, files: &mut Vec<File>) {
    let inner = folder.join(name);
    let candidates = [inner.with_extension("rs"), inner.join("mod.rs")];
    let path = candidates.into_iter().find(|path| path.is_file());
    let path = path.unwrap_or_else(|| panic!("{}: no such module", inner.display()));
    let text = fs::read_to_string(&path).unwrap();
    let modules = declared(&text);
    files.push(File { path, room: room.to_owned(), depth, text });
    for module in modules {
        walk(&inner, &module, room, depth + 1, files);
    }
}

/// The modules that have a file of their own.
fn declared(text: &str) -> Vec<String> {
    let tokens = without_tests(&tokens(text));
    let modules = tokens.windows(3).filter(|window| window[0] == "mod" && window[2] == ";");
    modules.map(|window| window[1].clone()).collect()
}

/// The modules of the crate that a file uses: all paths that begin at the crate's root.
pub fn arrows(file: &File) -> BTreeSet<String> {
    let tokens = without_tests(&tokens(&file.text));
    let mut used = BTreeSet::new();
    // For each open brace, whether it is that of a module.
    let mut braces = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "{" => braces.push(at >= 2 && tokens[at - 2] == "mod"),
            "}" => drop(braces.pop()),
            "crate" => from_root(tokens.get(at + 1..).unwrap_or_default(), &mut used),
            "super" => {
                let first = at;
                while tokens.get(at + 1).is_some_and(|next| next == "::")
                    && tokens.get(at + 2).is_some_and(|next| next == "super")
                {
                    at += 2;
                }
                let up = (at - first) / 2 + 1;
                if up >= file.depth + braces.iter().filter(|is_module| **is_module).count() {
                    from_root(tokens.get(at + 1..).unwrap_or_default(), &mut used);
                }
            }
            _ => {}
        }
        at += 1;
    }
    used
}

/// What follows on `crate`: `::name`, or `::{name::…, name}`.
fn from_root(tokens: &[String], used: &mut BTreeSet<String>) {
    let [colons, first, rest @ ..] = tokens else { return };
    if colons != "::" {
        return;
    }
    if first != "{" {
        // A macro is at the root wherever it was written.
        if rest.first().is_none_or(|next| next != "!") {
            used.insert(first.clone());
        }
        return;
    }
    let mut depth = 1;
    let mut before = "{";
    for token in rest {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            name if depth == 1 && matches!(before, "{" | ",") => drop(used.insert(name.to_owned())),
            _ => {}
        }
        if depth == 0 {
            return;
        }
        before = token;
    }
}

/// Leaves out each item, field or statement under `#[cfg(test)]`.
pub fn without_tests(tokens: &[String]) -> Vec<String> {
    let mut product = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        if let Some(attribute) = attribute(rest)
            && is_of_tests(&rest[..attribute])
        {
            rest = &rest[attribute..];
            while let Some(further) = self::attribute(rest) {
                rest = &rest[further..];
            }
            rest = &rest[item(rest)..];
        } else {
            product.push(first.clone());
            rest = after;
        }
    }
    product
}

/// The tokens of the attribute that `tokens` begin with.
fn attribute(tokens: &[String]) -> Option<usize> {
    if tokens.first()? != "#" || tokens.get(1)? != "[" {
        return None;
    }
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "[" => depth += 1,
            "]" if depth == 1 => return Some(at + 1),
            "]" => depth -= 1,
            _ => {}
        }
    }
    None
}

fn is_of_tests(attribute: &[String]) -> bool {
    let text = attribute.concat();
    text.starts_with("#[cfg(test)") || text.starts_with("#[cfg(any(test,")
}

/// The tokens of what an attribute stands before.
fn item(tokens: &[String]) -> usize {
    let head = tokens.iter().map(String::as_str).take_while(|token| !matches!(*token, "{" | ";" | "="));
    let head: Vec<&str> = head.collect();
    let is_use = head.contains(&"use");
    let braced = ["fn", "mod", "struct", "enum", "impl", "trait", "!"];
    let ends_with_a_brace = head.iter().any(|token| braced.contains(token));
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "(" | "[" | "{" => depth += 1,
            // It was the last of what is around it.
            ")" | "]" | "}" if depth == 0 => return at,
            "}" if depth == 1 && ends_with_a_brace && !is_use => return at + 1,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            "," if depth == 0 && !ends_with_a_brace && !is_use => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// Names and signs, `::` as one, without comments; of a string, character or lifetime only that it is there.
pub fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment(rest)
        } else if let Some(len) = string(rest) {
            found.push("\"\"".to_owned());
            len
        } else if first == '\'' {
            found.push("'".to_owned());
            character(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(rest[..len].to_owned());
            len
        } else {
            let len = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                found.push(rest[..len].to_owned());
            }
            len
        };
        rest = &rest[len..];
    }
    found
}

/// Octets of a comment, in which there may be others.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Octets of the string that `text` begins with, its prefix included.
fn string(text: &str) -> Option<usize> {
    let prefix = text.find(|c: char| !matches!(c, 'b' | 'r' | 'c')).filter(|len| *len <= 2)?;
    let is_raw = text[..prefix].contains('r');
    let hashes = text[prefix..].find(|c| c != '#').filter(|hashes| is_raw || *hashes == 0)?;
    let inside = prefix + hashes + 1;
    if !text[prefix + hashes..].starts_with('"') {
        return None;
    }
    if is_raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(text[inside..].find(&end).map_or(text.len(), |at| inside + at + end.len()));
    }
    let mut escaped = false;
    for (at, c) in text[inside..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(inside + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// Octets of a character, or of the sign of a lifetime.
fn character(text: &str) -> usize {
    let mut inside = text.char_indices().skip(1);
    match inside.next() {
        Some((_, '\\')) => {
            let end = inside.skip(1).find(|(_, c)| *c == '\'');
            end.map_or(text.len(), |(at, _)| at + 1)
        }
        _ => match inside.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
    }
}
