//! Which endpoint gets a request.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::active::ActiveEndpoint;

/// The less busy of two endpoints chosen at random: close to the best possible choice, without
/// counting all of them and without all clients rushing to the one that was least busy a moment ago.
///
/// Endpoints in `tried` and those that failed to connect lately are passed over while there are others.
pub(crate) fn choose<'e>(endpoints: &'e [ActiveEndpoint], tried: &[usize]) -> Option<(usize, &'e ActiveEndpoint)> {
    if let [only] = endpoints {
        return Some((0, only));
    }
    let fresh = |&(at, endpoint): &(usize, &ActiveEndpoint)| !tried.contains(&at) && !endpoint.state.is_ejected();
    let untried = |&(at, _): &(usize, &ActiveEndpoint)| !tried.contains(&at);
    less_busy(endpoints, fresh).or_else(|| less_busy(endpoints, untried)).or_else(|| less_busy(endpoints, |_| true))
}

fn less_busy<'e>(
    endpoints: &'e [ActiveEndpoint],
    eligible: impl Fn(&(usize, &'e ActiveEndpoint)) -> bool,
) -> Option<(usize, &'e ActiveEndpoint)> {
    let count = endpoints.iter().enumerate().filter(&eligible).count();
    let nth = |n: usize| endpoints.iter().enumerate().filter(&eligible).nth(n);
    match count {
        0 => None,
        1 => nth(0),
        _ => {
            let first = random_below(count);
            // One of the others, each as likely.
            let second = (first + 1 + random_below(count - 1)) % count;
            let (first, second) = (nth(first)?, nth(second)?);
            Some(if second.1.state.in_flight() < first.1.state.in_flight() { second } else { first })
        }
    }
}

/// A number below `bound`, good enough to spread load.
fn random_below(bound: usize) -> usize {
    ((random() >> 32) as usize * bound) >> 32
}

/// A number that differs from all others, but no secret.
pub(crate) fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(seed());
    }
    STATE.with(|state| {
        // xorshift64*: three shifts and a multiplication.
        let mut x = state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    })
}

fn seed() -> u64 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
    // Two threads that start in the same nanosecond still differ by the address of their stack.
    let here = std::ptr::from_ref(&nanos) as u64;
    (nanos ^ here.rotate_left(32)) | 1
}
