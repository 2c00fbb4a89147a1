//! Keys of an operator: a line never grows without bound, and a secret is never shown.

use crate::console::line::{Editor, Event, Input};

/// One input.
pub fn run(keys: &[u8]) {
    for input in [Input::Command, Input::Text, Input::Secret] {
        let mut editor = Editor::default();
        editor.begin("> ", input);
        for &key in keys {
            let event = editor.advance(key, &|before| vec![format!("{before}x"), "show".to_owned()]);
            let shown = editor.take_output();
            if input == Input::Secret {
                assert!(shown.iter().all(|octet| b"> \r\n^C\x07".contains(octet)), "{shown:?}");
            }
            if let Some(Event::Line(line)) = event {
                assert!(line.chars().count() <= 8192);
            }
        }
    }
}
