//! Points in time as people read them.

/// Seconds since the epoch as a date and a time, such as `2026-11-27 04:05:06 UTC`.
pub fn utc(seconds: i64) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let at = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    at.and_then(|at| at.format(format).ok()).unwrap_or_else(|| format!("second {seconds}"))
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn a_moment_is_a_date_and_a_time() {
        assert_eq!(utc(1_795_752_306), "2026-11-27 04:05:06 UTC");
        assert_eq!(utc(i64::MAX), format!("second {}", i64::MAX));
    }
}
