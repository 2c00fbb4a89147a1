use super::drawing::COLUMNS;
use super::*;

fn complete(before: &str) -> Vec<String> {
    let word = before.rsplit(' ').next().unwrap_or_default();
    ["show", "set", "status"].iter().filter(|w| w.starts_with(word)).map(ToString::to_string).collect()
}

fn type_into(editor: &mut Editor, keys: &[u8]) -> Vec<Event> {
    keys.iter().filter_map(|&octet| editor.advance(octet, &complete)).collect()
}

/// What is on the screen of a terminal, line by line, and in which column its cursor stands. It knows CR, LF, BS and nothing
/// else, but for what asks where its edge is.
fn screen(output: &[u8]) -> (Vec<String>, usize) {
    let (mut lines, mut column) = (vec![Vec::<char>::new()], 0);
    let text = String::from_utf8(output.to_vec()).unwrap().replace("\x1b[999C\x1b[6n", "");
    for character in text.chars() {
        match character {
            '\r' => column = 0,
            '\n' => lines.push(Vec::new()),
            '\x08' => column -= 1,
            '\x07' => {}
            character => {
                let line = lines.last_mut().unwrap();
                let wide = crate::console::width::of(character);
                if wide == 0 {
                    continue;
                }
                line.resize(line.len().max(column + wide), ' ');
                // The second half of a wide one.
                line[column..column + wide].fill('\0');
                line[column] = character;
                column += wide;
            }
        }
    }
    let plain = |line: Vec<char>| line.into_iter().filter(|c| *c != '\0').collect::<String>();
    (lines.into_iter().map(|line| plain(line).trim_end().to_owned()).collect(), column)
}

fn typed(editor: &mut Editor, keys: &[u8]) -> (String, usize) {
    let mut output = editor.take_output();
    type_into(editor, keys);
    output.extend(editor.take_output());
    let (lines, column) = screen(&output);
    (lines.last().unwrap().clone(), column)
}

fn begun() -> Editor {
    let mut editor = Editor::default();
    editor.begin("> ", Input::Command);
    editor
}

fn lines(keys: &[u8]) -> Vec<Event> {
    let mut editor = Editor::default();
    editor.begin("> ", Input::Command);
    type_into(&mut editor, keys)
}

#[test]
fn keys_make_lines() {
    let line = |text: &str| vec![Event::Line(text.to_owned())];
    for (keys, expected) in [
        (b"abc\r".as_slice(), line("abc")),
        (b"abc\n", line("abc")),
        (b"abc\r\n", line("abc")),
        (b"\r\n\r\n", [line(""), line("")].concat()),
        (b"abx\x7fc\r", line("abc")),
        (b"\x7f\x08a\r", line("a")),
        (b"bc\x01a\r", line("abc")),
        (b"ac\x02b\r", line("abc")),
        (b"ac\x1b[Db\x1b[C\x1b[C!\r", line("abc!")),
        (b"bc\x1b[Ha\x1b[Fd\r", line("abcd")),
        (b"xabc\x1bOH\x1b[3~\r", line("abc")),
        (b"abc def\x17x\r", line("abc x")),
        (b"abc\x15x\r", line("x")),
        (b"abc\x02\x02\x0b\r", line("a")),
        (b"abc\x02\x04\r", line("ab")),
        ("grün\r".as_bytes(), line("grün")),
        (b"a\xff\xc3(b\r", line("ab")),
        (b"a\0\x1b[99;1;5Qb\r", line("ab")),
        (b"abc\x03d\r", vec![Event::Interrupted, Event::Line("d".into())]),
        (b"\x04", vec![Event::End]),
    ] {
        let typed = String::from_utf8_lossy(keys);
        assert_eq!(lines(keys), expected, "{typed:?}");
    }
}

#[test]
fn the_tab_key_completes_as_far_as_all_agree() {
    for (keys, expected) in [
        (b"sho\t\r".as_slice(), "show "),
        (b"sho\tsta\t\r", "show status "),
        (b"s\t\r", "s"),
        (b"x\t\r", "x"),
    ] {
        assert_eq!(lines(keys), [Event::Line(expected.to_owned())]);
    }
}

#[test]
fn the_line_before_comes_back() {
    let mut editor = Editor::default();
    editor.begin("> ", Input::Command);
    type_into(&mut editor, b"first\rsecond\r");
    let events = type_into(&mut editor, b"\x1b[A\x1b[A\x1b[A\x1b[B\x10\r");
    assert_eq!(events, [Event::Line("first".into())]);
}

#[test]
fn a_secret_is_neither_shown_nor_remembered() {
    let mut editor = Editor::default();
    editor.begin("Password: ", Input::Secret);
    assert_eq!(type_into(&mut editor, b"hush\x7fx\r"), [Event::Line("husx".into())]);
    assert_eq!(editor.take_output(), b"Password: \r\n");
    editor.begin("> ", Input::Command);
    assert_eq!(type_into(&mut editor, b"\x10\r"), [Event::Line(String::new())]);
}

#[test]
fn a_line_longer_than_the_terminal_is_shown_in_part() {
    let mut editor = Editor::default();
    editor.begin("> ", Input::Text);
    type_into(&mut editor, "x".repeat(9000).as_bytes());
    let output = String::from_utf8(editor.take_output()).unwrap();
    let longest = screen(output.as_bytes()).0.iter().map(String::len).max();
    assert!(longest <= Some(COLUMNS), "{longest:?}");
    assert_eq!(type_into(&mut editor, b"\r"), [Event::Line("x".repeat(LONGEST))]);
}

/// Catches: escape sequences in what is drawn, which a dumb terminal shows; letters that stay where they were removed; a cursor
/// that stands elsewhere, also with characters of two columns or none.
#[test]
fn the_line_is_drawn_with_what_every_terminal_has() {
    for (keys, line, column) in [
        ("show".as_bytes(), "> show", 6),
        ("show\x02\x02".as_bytes(), "> show", 4),
        ("show\x02\x02\x7f".as_bytes(), "> sow", 3),
        ("show status\x17".as_bytes(), "> show", 7),
        ("日本".as_bytes(), "> 日本", 6),
        ("日本\x02".as_bytes(), "> 日本", 4),
        ("日本\x02x".as_bytes(), "> 日x本", 5),
        ("日本\x7f".as_bytes(), "> 日", 4),
        ("gru\u{308}n\x02".as_bytes(), "> gru\u{308}n", 5),
    ] {
        let mut editor = begun();
        let mut output = editor.take_output();
        type_into(&mut editor, keys);
        output.extend(editor.take_output());
        let (lines, found) = screen(&output);
        let shown = lines.last().unwrap().replace('\u{308}', "");
        assert_eq!((shown.as_str(), found), (line.replace('\u{308}', "").as_str(), column), "{keys:?}");
        assert!(
            output.starts_with(b"> ") && !output.contains(&0x1b),
            "{:?}",
            String::from_utf8_lossy(&output)
        );
    }
}

/// Catches: a width that is asked for and not followed, an answer that gets into the line, one that is nonsense and believed, and a
/// terminal that is asked for ever though it does not answer.
#[test]
fn the_terminals_width_is_followed() {
    let mut editor = Editor::default();
    let asked = |editor: &mut Editor| editor.take_output().starts_with(b"\x1b[999C\x1b[6n\r");
    editor.greet();
    assert!(asked(&mut editor));
    editor.begin("> ", Input::Command);
    assert_eq!(
        editor.take_output(),
        b"> ",
        "whoever waits for the prompt, a program maybe, finds it behind the line's end"
    );
    let (line, _) = typed(&mut editor, &[&b"\x1b[24;40R"[..], &[b'x'; 50]].concat());
    assert!(line.len() <= 39 && line.starts_with("> x"), "{line}");
    for (answer, columns) in [("24;132", 131), ("24;5", 131), ("1;2", 131), ("24;65536", 131), ("24;20", 19)]
    {
        type_into(&mut editor, format!("\x1b[{answer}R").as_bytes());
        assert_eq!(editor.screen.columns, columns, "{answer}");
    }
    assert_eq!(type_into(&mut editor, b"\r"), [Event::Line("x".repeat(50))]);
    editor.take_output();
    editor.begin("> ", Input::Command);
    assert!(asked(&mut editor), "it may have another width now");
    let times = (0..10).filter(|_| {
        let is_asked = asked(&mut editor);
        editor.begin("> ", Input::Command);
        is_asked
    });
    assert_eq!(times.count(), 1, "it does not answer any more");
    let mut dumb = Editor::dumb();
    dumb.greet();
    dumb.begin("> ", Input::Command);
    assert_eq!(dumb.take_output(), b"> ");
    for input in [Input::Secret, Input::Text] {
        let mut other = Editor::default();
        other.begin("> ", input);
        assert_eq!(other.take_output(), b"> ", "what is asked for then may be pasted");
    }
}

/// Catches: a search that finds another line, loses what was typed, or leaves its words on the screen.
#[test]
fn a_line_of_before_is_searched_for() {
    let with_history = || {
        let mut editor = begun();
        for line in ["set server.hostname a.example", "show status", "set server.domains b.example"] {
            type_into(&mut editor, format!("{line}\r").as_bytes());
            editor.begin("> ", Input::Command);
        }
        editor.take_output();
        editor
    };
    for (keys, found) in [
        (&b"\x12host\r"[..], "set server.hostname a.example"),
        (b"\x12set\r", "set server.domains b.example"),
        (b"\x12set\x12\r", "set server.hostname a.example"),
        (b"\x12set\x12\x12\r", "set server.hostname a.example"),
        (b"\x12shox\x7f\r", "show status"),
        (b"abc\x12host\x07\r", "abc"),
        (b"\x12status\x05!\r", "show status!"),
        (b"\x12status\x1b[F!\r", "show status!"),
        (b"abc\x12nowhere\r\r", "abc"),
        ("x\x12grün\r\r".as_bytes(), "x"),
    ] {
        let mut editor = with_history();
        let shown = String::from_utf8_lossy(keys).into_owned();
        assert_eq!(type_into(&mut editor, keys), [Event::Line(found.to_owned())], "{shown:?}");
    }
    let mut editor = with_history();
    assert_eq!(type_into(&mut editor, b"\x12host\x03"), [Event::Interrupted]);
    let mut editor = with_history();
    assert_eq!(typed(&mut editor, b"\x12sta").0, "search `sta`: show status");
    assert_eq!(typed(&mut editor, b"zz").0, "not found `stazz`: show status");
    let mut editor = with_history();
    assert_eq!(typed(&mut editor, b"\x12sta\x05").0, "> show status");
    // Nothing of a secret is looked for.
    let mut editor = with_history();
    editor.begin("password: ", Input::Secret);
    assert_eq!(type_into(&mut editor, b"\x12st\r"), [Event::Line("st".into())]);
}
