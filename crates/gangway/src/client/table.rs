//! Columns for people.

use gangway_model::diagnostic::printable;

/// Rows of cells below a head, each column as wide as its widest cell. Names come from labels, so what
/// could command the terminal is written out.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.clone().map(|cell| printable(&cell))).collect();
    let head = head.map(str::to_owned);
    let mut widths = [0; N];
    for row in std::iter::once(&head).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    std::iter::once(&head).chain(&rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_commands_the_terminal() {
        let rows = [["ä".to_owned(), "x".to_owned()], ["long".to_owned(), "\u{1b}[2J".to_owned()]];
        assert_eq!(table(["A", "B"], &rows), "A     B\nä     x\nlong  \\u{1b}[2J\n");
    }
}
