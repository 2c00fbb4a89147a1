//! An address as a QR code, for the camera of a telephone: two modules in each character.

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules around it that are light (ISO/IEC 18004 section 6.3.8).
const QUIET: i32 = 4;
/// Columns of a terminal.
const COLUMNS: i32 = 80;

/// Lines of half blocks that are light where the code is, as terminals are dark; `None` for what does not fit on a terminal.
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
}
