//! The module tree is the architecture: what a room uses lies below it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use source::{File, arrows};

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The table of `src/lib.rs`: each module and its row, counted from the top.
fn rows(lib: &str) -> BTreeMap<String, usize> {
    let table = lib.split("//! ```text\n").nth(1).and_then(|rest| rest.split("//! ```\n").next()).unwrap();
    let mut rows = BTreeMap::new();
    for (row, line) in table.lines().enumerate() {
        let line = line.trim_start_matches("//!").trim();
        // Columns are two blanks or more apart; the last one says what the row is for.
        let mut columns: Vec<&str> = line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
        assert!(columns.len() > 1, "a row without words: {line}");
        columns.pop();
        for module in columns {
            assert!(rows.insert(module.to_owned(), row).is_none(), "{module} stands in two rows");
        }
    }
    rows
}

/// What `files` use that is not below them.
fn untrue(rows: &BTreeMap<String, usize>, files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for used in arrows(file) {
            let known = rows.get(&used).unwrap_or_else(|| panic!("{}: crate::{used}", file.path.display()));
            if used != file.room && *known <= rows[&file.room] {
                found.push(format!("{}: {} uses {used}", file.path.display(), file.room));
            }
        }
    }
    found
}

/// Catches: a module that uses one beside or above it (and so every circle of modules), one that has no row in the table, and
/// a row of a module that is gone.
#[test]
fn each_module_uses_those_of_the_rows_below_it_only() {
    let lib = crate_folder().join("src/lib.rs");
    let rows = rows(&fs::read_to_string(&lib).unwrap());
    let files = source::product(&lib);
    assert!(files.len() > 200, "{} files: where are the others?", files.len());
    let mut modules: Vec<&str> = files.iter().map(|file| file.room.as_str()).collect();
    modules.dedup();
    modules.sort_unstable();
    assert_eq!(modules, rows.keys().collect::<Vec<_>>(), "the table names each module");
    let untrue = untrue(&rows, &files);
    assert!(untrue.is_empty(), "src/lib.rs says otherwise:\n{}", untrue.join("\n"));
}

/// Catches: settings that are stored, or set aside, by somebody who does not hold the data folder, beside a daemon that has
/// others in its memory.
#[test]
fn settings_are_stored_by_the_data_folder_only() {
    let roots = ["src/lib.rs", "src/main.rs"].map(|root| crate_folder().join(root));
    let files: Vec<_> = roots.iter().flat_map(|root| source::product(root)).collect();
    let stores = |file: &File| {
        let tokens = source::without_tests(&source::tokens(&file.text));
        tokens.windows(3).any(|it| {
            it[0] == "file" && it[1] == "::" && ["load", "save", "renew", "repair"].contains(&it[2].as_str())
        })
    };
    let found: Vec<_> = files.iter().filter(|file| stores(file)).map(|file| file.path.clone()).collect();
    assert_eq!(found, [crate_folder().join("src/data_folder.rs")]);
}

/// Catches: a reader of paths that overlooks one of their forms, or takes tests and comments for product code.
#[test]
fn every_form_of_a_path_is_an_arrow_and_tests_and_texts_are_none() {
    let rows = rows(
        "//! ```text\n//! high  other   what is above\n//! room  peer    the middle\n//! low           the ground\n//! ```\n",
    );
    for (text, expected) in [
        ("use crate::low::Thing;", 0),
        ("use crate::room::Thing;", 0),
        ("use crate::high::Thing;", 1),
        ("use crate::peer;", 1),
        ("use crate::{low::{self, a}, high::{b, c}, peer};", 2),
        ("fn f() { crate::high::g(); }", 1),
        ("fn f(x: &crate :: high::X) -> crate::peer::Y { todo() }", 2),
        ("pub(crate) use super::super::high::Thing;", 1),
        ("use super::high::Thing;", 0),
        ("mod inner { use super::super::high::X; }", 0),
        ("mod inner { use super::super::super::high::X; }", 1),
        ("const Q: char = '\"'; use crate::high::X; const R: &str = \"\";", 1),
        ("fn f<'a>(x: &'a u8) { crate::high::g(x) }", 1),
        ("// use crate::high::Thing;\n/* crate::peer::X /* crate::peer::Y */ */ /// [`crate::high::X`]", 0),
        ("const A: &str = \"crate::high\"; const B: &[u8] = br#\"\" crate::high \"#;", 0),
        ("#[cfg(test)] use crate::{high, peer}; use crate::high::X;", 1),
        (
            "#[cfg(test)]\n#[allow(dead_code)]\nmod tests { use crate::high; fn f() { if a {} } } fn g() { crate::high::h() }",
            1,
        ),
        ("#[cfg(any(test, fuzzing))] pub fn f<A, B>(x: [u8; 2]) { crate::high::g() }", 0),
        ("struct A { #[cfg(test)] x: crate::high::X, y: crate::peer::Y }", 1),
        ("#[cfg(not(test))] use crate::high::X;", 1),
        ("crate::macro_of_the_crate!(crate::high::X);", 1),
    ] {
        let file = File { path: "src/room/file.rs".into(), room: "room".into(), depth: 2, text: text.into() };
        assert_eq!(untrue(&rows, &[file]).len(), expected, "{text}");
    }
}

/// Catches: an arrow that points up, between the rooms of the store.
#[test]
fn the_rooms_of_the_store_use_those_below_them_only() {
    let files = source::product(&crate_folder().join("src/lib.rs"));
    for (room, above) in [("format", &["model", "engine"][..]), ("model", &["engine"])] {
        let folder = crate_folder().join("src/store").join(room);
        let files: Vec<&File> = files.iter().filter(|file| file.path.starts_with(&folder)).collect();
        assert!(files.len() > 3, "{room} has moved");
        for file in files {
            // A pure room touches no file either; its tests may.
            let product = source::without_tests(&source::tokens(&file.text)).concat();
            for upper in
                above.iter().map(|upper| format!("store::{upper}")).chain(["crate::flash".to_owned()])
            {
                assert!(!product.contains(&upper), "{}: uses {upper}", file.path.display());
            }
            assert!(!product.contains("super::super"), "{}: paths begin at the crate", file.path.display());
        }
    }
}
