//! Weights of endpoints, where an upstream shares its requests between several upstreams.

use crate::route::Endpoint;

/// Gives each upstream its share: the weights of its endpoints together are to the others' as the weights of the
/// upstreams are. Among the endpoints of one upstream the shares stay as they are.
///
/// An upstream without endpoints leaves its share to the others, as there is nothing to send its requests to.
pub(super) fn share(upstreams: Vec<(u16, Vec<Endpoint>)>) -> Vec<Endpoint> {
    let sum = |endpoints: &[Endpoint]| endpoints.iter().map(|one| u128::from(one.weight)).sum::<u128>();
    // Of the product of all sums each upstream's own is divided out, so every share is a whole number. It fits: the
    // divisor of all sums is taken out before, and what is left of a few sums is small.
    let sums: Vec<u128> = upstreams.iter().map(|(_, endpoints)| sum(endpoints)).collect();
    let common = sums.iter().filter(|sum| **sum > 0).fold(1_u128, |all, sum| least_common_multiple(all, *sum));
    let mut endpoints = Vec::new();
    let mut shares: Vec<u128> = Vec::new();
    for ((weight, of_upstream), sum) in upstreams.into_iter().zip(sums) {
        let factor = u128::from(weight) * common.checked_div(sum).unwrap_or(0);
        shares.extend(of_upstream.iter().map(|one| u128::from(one.weight).saturating_mul(factor)));
        endpoints.extend(of_upstream);
    }
    let divisor = shares.iter().fold(0, |all, share| greatest_common_divisor(all, *share)).max(1);
    let largest = shares.iter().map(|share| share / divisor).max().unwrap_or(0);
    // What does not fit is made smaller, and nothing that had a share loses all of it.
    let scale = largest.div_ceil(u128::from(u16::MAX)).max(1);
    for (endpoint, share) in endpoints.iter_mut().zip(shares) {
        let scaled = share / divisor / scale;
        endpoint.weight = u16::try_from(scaled).unwrap_or(u16::MAX).max(u16::from(share > 0));
    }
    endpoints
}

/// Above this, nobody sees a difference in the shares, and sums of a hostile choice must not overflow.
const MULTIPLE_MAX: u128 = 1 << 64;

fn least_common_multiple(a: u128, b: u128) -> u128 {
    let multiple = a / greatest_common_divisor(a, b).max(1) * b;
    if multiple > MULTIPLE_MAX { a.max(b) } else { multiple }
}

fn greatest_common_divisor(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{Address, EndpointKey, Readiness, Scheme};

    fn endpoint(weight: u16) -> Endpoint {
        Endpoint {
            key: EndpointKey { container: "a".into(), address: Address::Name("a".into(), 80) },
            name: "a".into(),
            scheme: Scheme::Http,
            transport: std::sync::Arc::default(),
            host: None,
            readiness: Readiness::Ready,
            weight,
            is_of_operator: false,
        }
    }

    fn shared(upstreams: &[(u16, &[u16])]) -> Vec<u16> {
        let upstreams = upstreams.iter().map(|(weight, of)| (*weight, of.iter().map(|one| endpoint(*one)).collect()));
        share(upstreams.collect()).iter().map(|one| one.weight).collect()
    }

    #[test]
    fn an_upstream_has_its_share_however_many_endpoints_it_has() {
        assert_eq!(shared(&[(3, &[1]), (1, &[1])]), [3, 1]);
        assert_eq!(shared(&[(3, &[1, 1]), (1, &[1])]), [3, 3, 2]);
        assert_eq!(shared(&[(1, &[1, 3]), (1, &[5])]), [1, 3, 4]);
    }

    #[test]
    fn an_upstream_without_endpoints_or_weight_gets_nothing() {
        assert_eq!(shared(&[(3, &[]), (1, &[1, 1])]), [1, 1]);
        assert_eq!(shared(&[(0, &[1]), (1, &[1])]), [0, 1]);
        assert_eq!(shared(&[(1, &[0, 0]), (1, &[1])]), [0, 0, 1]);
    }

    #[test]
    fn shares_of_any_size_fit() {
        let many = [1; 251];
        let shares = shared(&[(65_535, &many), (1, &[1]), (65_535, &[65_535, 65_521]), (7, &[65_519])]);
        assert!(shares.iter().all(|share| *share > 0));
        assert_eq!(shared(&[]), [] as [u16; 0]);
    }
}
