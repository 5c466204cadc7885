//! Rows of the table of faults that `make faults` prints: what was done, what passes, what was seen.
//!
//! A row is a line of standard output that begins with `fault: `, with its cells between bars. It is
//! written when its [`Fault`] ends, however that happens: one that is not said to be withstood has failed.

use std::fmt::Display;

/// One row of the table, as long as the fault lasts.
#[derive(Debug)]
#[must_use = "dropped, it has failed"]
pub struct Fault {
    number: u8,
    what: &'static str,
    passes: &'static str,
    seen: Vec<String>,
    is_withstood: bool,
}

impl Fault {
    /// The fault with this number in issue 5's list: what is done, and when it counts as withstood.
    pub fn begin(number: u8, what: &'static str, passes: &'static str) -> Self {
        Self { number, what, passes, seen: Vec::new(), is_withstood: false }
    }

    /// Adds a figure to the row.
    pub fn saw(&mut self, figure: impl Display) {
        self.seen.push(figure.to_string());
    }

    /// Marks the fault as withstood.
    pub fn withstood(mut self) {
        self.is_withstood = true;
    }

    fn row(&self) -> String {
        let result = if self.is_withstood { "pass" } else { "FAIL" };
        let seen = if self.seen.is_empty() { "-".to_owned() } else { self.seen.join("; ") };
        let cells = [&self.number.to_string(), result, self.what, self.passes, &seen];
        cells.map(|cell| cell.replace(['|', '\n'], " ")).join("|")
    }
}

impl Drop for Fault {
    #[expect(clippy::print_stdout, reason = "that is its use")]
    fn drop(&mut self) {
        println!("fault: {}", self.row());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_failed_unless_it_was_withstood() {
        let mut fault = Fault::begin(9, "recreated", "no loss");
        assert_eq!(fault.row(), "9|FAIL|recreated|no loss|-");
        fault.saw("3 lost | 4 answered");
        fault.saw("slow");
        fault.is_withstood = true;
        assert_eq!(fault.row(), "9|pass|recreated|no loss|3 lost   4 answered; slow");
    }
}
