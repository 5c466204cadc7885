//! Prints rows in aligned columns.

use gangway_diagnostic::printable;

use crate::terminal::{Paint, Tone, width_of_stdout};

/// The number of spaces between two columns.
const GAP: usize = 2;

/// The least width that a column is cut to, however narrow the terminal. A narrower column would be of no use.
const COLUMN_WIDTH_MIN: usize = 8;

/// The output that a table is printed to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sheet {
    /// The width of the terminal. `None` without a terminal.
    pub(crate) width: Option<usize>,
    pub(crate) paint: Paint,
}

impl Sheet {
    /// Standard output. If it is not a terminal, all cells are printed in full.
    pub(crate) fn stdout() -> Self {
        Self { width: width_of_stdout(), paint: Paint::of_stdout() }
    }
}

/// Formats rows of cells below a head. Each column is as wide as its widest cell, or as the sheet allows.
///
/// Cells contain text from labels, so control characters are escaped. `tone` colours a cell by its column and text.
pub(crate) fn table<const N: usize>(
    sheet: Sheet,
    head: [&str; N],
    rows: &[[String; N]],
    tone: impl Fn(usize, &str) -> Tone,
) -> String {
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.clone().map(|cell| printable(&cell))).collect();
    let head = head.map(str::to_owned);
    let mut widths = [0; N];
    for row in std::iter::once(&head).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    if let Some(most) = sheet.width {
        fit(&mut widths, most);
    }
    let line = |row: &[String; N], tone: &dyn Fn(usize, &str) -> Tone| {
        let mut line = String::new();
        let mut gap = 0;
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            let shown = cut(cell, width);
            if !shown.is_empty() {
                // Spaces come only before a cell with text, so that no line ends with spaces.
                line += &" ".repeat(gap);
                line += &sheet.paint.paint(tone(at, cell), &shown);
                gap = 0;
            }
            gap += width - shown.chars().count() + GAP;
        }
        line + "\n"
    };
    let head = line(&head, &|_, _| Tone::Strong);
    std::iter::once(head).chain(rows.iter().map(|row| line(row, &tone))).collect()
}

/// Narrows the widest columns until all fit, or until none can be narrower.
fn fit<const N: usize>(widths: &mut [usize; N], most: usize) {
    let gaps = GAP * N.saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > most {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > COLUMN_WIDTH_MIN) else { return };
        *widest -= 1;
    }
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    cell.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Sheet = Sheet { width: None, paint: Paint::Plain };

    fn cells<const N: usize>(cells: [&str; N]) -> [String; N] {
        cells.map(str::to_owned)
    }

    #[test]
    fn columns_are_aligned_and_nothing_commands_the_terminal() {
        let rows = [cells(["ä", "x"]), cells(["long", "\u{1b}[2J"])];
        assert_eq!(table(PLAIN, ["A", "B"], &rows, |_, _| Tone::Neutral), "A     B\nä     x\nlong  \\u{1b}[2J\n");
    }

    #[test]
    fn on_a_terminal_the_widest_columns_give_way() {
        let rows = [cells(["shop", &"r".repeat(60), &"s".repeat(40), "ready"])];
        let show =
            |width| table(Sheet { width, ..PLAIN }, ["NAME", "RULE", "STATE", "IS"], &rows, |_, _| Tone::Neutral);
        let widest = |text: &str| text.lines().map(|line| line.chars().count()).max();
        let (full, narrow) = (show(None), show(Some(60)));
        assert!(full.contains(&"r".repeat(60)) && !full.contains('…'), "{full}");
        assert_eq!(widest(&narrow), Some(60), "{narrow}");
        assert!(narrow.contains("shop  ") && narrow.contains("r…  ") && narrow.contains("s…  ready"), "{narrow}");
        // Columns have a least width. Below it the terminal wraps the lines.
        assert!(widest(&show(Some(1))) > Some(20));
    }

    #[test]
    fn colours_do_not_move_columns() {
        let rows = [cells(["shop", "ready", "1"])];
        let painted = table(Sheet { paint: Paint::Ansi, ..PLAIN }, ["A", "B", "C"], &rows, |at, _| {
            if at == 1 { Tone::Good } else { Tone::Neutral }
        });
        assert!(painted.ends_with("shop  \u{1b}[32mready\u{1b}[0m  1\n"), "{painted:?}");
    }
}
