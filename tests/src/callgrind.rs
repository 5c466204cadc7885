//! The output of callgrind for a binary without symbols, and the linker's map that names its addresses.
//!
//! callgrind has to be run with `--dump-instr=yes --compress-strings=no --compress-pos=no`: then each line of cost
//! begins with a whole address, and the cost of a function's first instruction is the number of its calls,
//! tail calls included.

use std::collections::HashMap;

/// The instructions that a process executed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Profile {
    /// All of them.
    pub instructions: u64,
    executions: HashMap<u64, u64>,
}

impl Profile {
    /// Reads an output file of callgrind.
    pub fn read(text: &str) -> Self {
        let mut profile = Self::default();
        let mut is_inclusive = false;
        for line in text.lines() {
            // The line behind a call is the cost of everything below it, which stands elsewhere once more.
            if std::mem::replace(&mut is_inclusive, line.starts_with("calls=")) {
                continue;
            }
            if let Some(total) = line.strip_prefix("totals: ") {
                profile.instructions = total.trim().parse().unwrap_or_default();
            } else if let Some((address, rest)) = line.split_once(' ')
                && let Some(address) = hexadecimal(address.strip_prefix("0x").unwrap_or_default())
                && let Some((_, cost)) = rest.split_once(' ')
            {
                *profile.executions.entry(address).or_default() += cost.parse::<u64>().unwrap_or_default();
            }
        }
        profile
    }

    /// The number of calls of the function at this address.
    pub fn calls(&self, address: u64) -> u64 {
        self.executions.get(&address).copied().unwrap_or_default()
    }
}

/// The addresses of functions, as the linker's map has them; lld's and GNU ld's are alike in what is read.
pub fn addresses(map: &str, functions: &[&str]) -> HashMap<String, u64> {
    let named = |line: &str| {
        let mut words = line.split_whitespace();
        let (address, name) = (words.next()?, words.next_back()?);
        let address = hexadecimal(address.strip_prefix("0x").unwrap_or(address))?;
        functions.contains(&name).then(|| (name.to_owned(), address))
    };
    map.lines().filter_map(named).collect()
}

fn hexadecimal(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
events: Ir

fn=0x0000000000092760
0x92760 0 7
0x92764 0 7
calls=7 0x92b00 0
0x92764 0 700

fn=0x00000000000000f0
0xf0 0 1
calls=3 0x92760 0
0xf0 0 300
0x92760 0 2
totals: 717
";

    #[test]
    fn calls_are_counted_and_what_they_cost_below_is_not() {
        let profile = Profile::read(OUTPUT);
        assert_eq!(profile.instructions, 717);
        assert_eq!(profile.calls(0x92760), 9, "a call from another unit adds up");
        assert_eq!(profile.calls(0x92764), 7);
        assert_eq!(profile.calls(0x92b00), 0);
    }

    #[test]
    fn both_linkers_maps_are_read() {
        let lld = "
             VMA              LMA     Size Align Out     In      Symbol
           92760            92760       19    16         /x/lib.rlib(a.o):(.text.mi_malloc_aligned)
           92760            92760       19     1                 mi_malloc_aligned
           92800            92800       19     1                 mi_malloc_aligned_at
";
        let gnu = "
 .text.mi_malloc_aligned
                0x0000000000092760       0x19 /x/lib.rlib(a.o)
                0x0000000000092760                mi_malloc_aligned
";
        for map in [lld, gnu] {
            let found = addresses(map, &["mi_malloc_aligned", "absent"]);
            assert_eq!(found, HashMap::from([("mi_malloc_aligned".to_owned(), 0x92760)]));
        }
    }
}
