//! An address as a QR code, for the camera of a telephone: as text for a terminal, and as a picture for a page.

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules around it that are light (ISO/IEC 18004 section 6.3.8).
const QUIET: i32 = 4;
/// Columns of a terminal.
const COLUMNS: i32 = 80;

/// Lines of half blocks, two modules in each character, light where the code is, as terminals are dark; `None` for what does not fit on a terminal.
pub fn half_blocks(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let end = code.size() + QUIET;
    if end + QUIET > COLUMNS {
        return None;
    }
    let is_light = |x: i32, y: i32| !code.get_module(x, y);
    let mut lines = String::new();
    for y in (-QUIET..end).step_by(2) {
        for x in -QUIET..end {
            lines.push(match (is_light(x, y), y + 1 < end && is_light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        lines.push('\n');
    }
    Some(lines)
}

/// The same as the attribute `d` of a path (SVG 1.1 section 8.3) of its dark modules, each of one unit, and the width of the whole with what
/// is light around it; `None` for what no code holds.
pub fn path(text: &str) -> Option<(String, i32)> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let run = (x..code.size()).take_while(|&x| code.get_module(x, y)).count();
            let run = i32::try_from(run).unwrap_or_default();
            if run > 0 {
                path += &format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
            }
            x += run + 1;
        }
    }
    Some((path, code.size() + 2 * QUIET))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: rows or columns that are exchanged or left out, and a code that is wider than a terminal.
    #[test]
    fn each_module_is_half_a_character() {
        let text = "https://microsoft.com/devicelogin";
        let code = QrCode::encode_text(text, QrCodeEcc::Low).unwrap();
        let lines = half_blocks(text).unwrap();
        let lines: Vec<Vec<char>> = lines.lines().map(|line| line.chars().collect()).collect();
        let width = usize::try_from(code.size() + 2 * QUIET).unwrap();
        assert!(
            width <= 80 && lines.len() == width.div_ceil(2) && lines.iter().all(|line| line.len() == width)
        );
        for y in 0..code.size() {
            for x in 0..code.size() {
                let (row, column) = ((y + QUIET) / 2, usize::try_from(x + QUIET).unwrap());
                let sign = lines[usize::try_from(row).unwrap()][column];
                let light = if (y + QUIET) % 2 == 0 { "█▀" } else { "█▄" };
                assert_eq!(light.contains(sign), !code.get_module(x, y), "{x} {y}");
            }
        }
        assert!(half_blocks(&"x".repeat(600)).is_none());
    }

    /// Catches: a row that is cut short, and a run that is drawn at another place.
    #[test]
    fn the_picture_has_the_dark_modules_and_no_other() {
        let text = "https://pillarbox.local/mine";
        let code = QrCode::encode_text(text, QrCodeEcc::Low).unwrap();
        let (path, width) = path(text).unwrap();
        assert_eq!(width, code.size() + 8);
        let mut dark = std::collections::BTreeSet::new();
        for run in path.split('M').skip(1) {
            let (at, rest) = run.split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            let (x, y): (i32, i32) = (x.parse().unwrap(), y.parse().unwrap());
            let len: i32 = rest.split_once('v').unwrap().0.parse().unwrap();
            assert_eq!(run, format!("{x} {y}h{len}v1h-{len}z"));
            dark.extend((x..x + len).map(|x| (x - 4, y - 4)));
        }
        let all = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        let expected: std::collections::BTreeSet<_> = all.filter(|(x, y)| code.get_module(*x, *y)).collect();
        assert_eq!(dark, expected);
        assert!(super::path(&"x".repeat(4000)).is_none());
    }
}
