//! The distance of two words, for "did you mean".

/// Longer words are not compared: no slip of the finger is that long.
const LEN_MAX: usize = 256;

/// The number of letters to insert, remove, replace or swap with a neighbour to turn one word into the other; none
/// where it is more than `max`. ASCII case does not count.
///
/// Only a band of `max` on both sides of the diagonal is computed, so comparing ten thousand hosts on the way to a
/// 404 stays cheap.
pub fn distance(a: &str, b: &str, max: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > max || a.len() > LEN_MAX || b.len() > LEN_MAX {
        return None;
    }
    let max = max.min(LEN_MAX);
    let beyond = cell(max) + 1;
    let mut rows = [[beyond; LEN_MAX + 1]; 3];
    for (column, first) in rows[0].iter_mut().enumerate().take(b.len().min(max) + 1) {
        *first = cell(column);
    }
    for row in 1..=a.len() {
        let (current, previous, before) = (row % 3, (row + 2) % 3, (row + 1) % 3);
        let (first, last) = (row.saturating_sub(max).max(1), (row + max).min(b.len()));
        rows[current][first - 1] = if first == 1 && row <= max { cell(row) } else { beyond };
        let mut least = rows[current][first - 1];
        for column in first..=last {
            let same = a[row - 1].eq_ignore_ascii_case(&b[column - 1]);
            let left = rows[current][column - 1] + 1;
            // The cell above the last one of the band belongs to no band yet.
            let above = if column < row + max { rows[previous][column] + 1 } else { beyond };
            let mut cell = (rows[previous][column - 1] + u16::from(!same)).min(left).min(above);
            let swapped = row > 1
                && column > 1
                && a[row - 1].eq_ignore_ascii_case(&b[column - 2])
                && a[row - 2].eq_ignore_ascii_case(&b[column - 1]);
            if swapped {
                cell = cell.min(rows[before][column - 2] + 1);
            }
            rows[current][column] = cell.min(beyond);
            least = least.min(rows[current][column]);
        }
        if least == beyond {
            return None;
        }
    }
    Some(rows[a.len() % 3][b.len()]).filter(|distance| *distance < beyond).map(usize::from)
}

/// A distance as a cell of the matrix, which is kept small for the cache.
fn cell(distance: usize) -> u16 {
    u16::try_from(distance).expect("distances are at most the longest word")
}

/// The word of `known` that the user probably meant by `word`.
///
/// A third of its letters may be wrong. Among equally near words the first wins.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let max = (word.len() / 3).clamp(1, 4);
    known
        .into_iter()
        .filter_map(|candidate| Some((distance(word, candidate, max)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_counted() {
        assert_eq!(distance("Host", "host", 2), Some(0));
        assert_eq!(distance("Hosts", "Host", 2), Some(1));
        assert_eq!(distance("Hsot", "Host", 2), Some(1));
        assert_eq!(distance("Hst", "Host", 2), Some(1));
        assert_eq!(distance("Path", "Host", 2), None);
        assert_eq!(distance("", "ab", 2), Some(2));
        assert_eq!(distance("ab", "", 2), Some(2));
        assert_eq!(distance("", "", 0), Some(0));
        assert_eq!(distance("abcdef", "badcfe", 3), Some(3));
    }

    #[test]
    fn the_band_gives_what_the_whole_matrix_gives() {
        let words = ["", "a", "ab", "ba", "abc", "acb", "host", "hots", "ghost", "hosts", "pathprefix", "patprefixx"];
        for a in words {
            for b in words {
                for max in 0..6 {
                    assert_eq!(distance(a, b, max), Some(whole(a, b)).filter(|d| *d <= max), "{a} {b} {max}");
                }
            }
        }
    }

    fn whole(a: &str, b: &str) -> usize {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let mut cells = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                cells[i][j] = match (i, j) {
                    (0, _) => j,
                    (_, 0) => i,
                    _ => {
                        let replaced = cells[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                        let mut cell = replaced.min(cells[i - 1][j] + 1).min(cells[i][j - 1] + 1);
                        if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                            cell = cell.min(cells[i - 2][j - 2] + 1);
                        }
                        cell
                    }
                };
            }
        }
        cells[a.len()][b.len()]
    }

    #[test]
    fn the_nearest_word_is_named() {
        let known = ["Host", "HostRegexp", "Path", "PathPrefix", "Method"];
        assert_eq!(nearest("Hosts", known), Some("Host"));
        assert_eq!(nearest("pathprefix", known), Some("PathPrefix"));
        assert_eq!(nearest("PathPrefixStrip", known), None);
        assert_eq!(nearest("Frob", known), None);
    }
}
