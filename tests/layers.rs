//! The module tree is the architecture: what a room uses lies below it.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => found.append(&mut sources(&path)),
            path => found.push(path),
        }
    }
    found
}

/// Catches: an arrow that points up, between the rooms of the store.
#[test]
fn the_rooms_of_the_store_use_those_below_them_only() {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    for (room, above) in [("format", &["model", "engine"][..]), ("model", &["engine"])] {
        let files = sources(&store.join(room));
        assert!(files.len() > 3, "{room} has moved");
        for path in files {
            let text = fs::read_to_string(&path).unwrap();
            // A pure room touches no file either; its tests may.
            let product = text.split("#[cfg(test)]\nmod").next().unwrap();
            for upper in
                above.iter().map(|upper| format!("store::{upper}")).chain(["crate::flash".to_owned()])
            {
                assert!(!product.contains(&upper), "{}: uses {upper}", path.display());
            }
            assert!(!product.contains("super::super"), "{}: paths begin at the crate", path.display());
        }
    }
}
