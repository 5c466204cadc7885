//! Where a client is: the country of its address, and the autonomous system (AS) that its network belongs to.
//!
//! What is known of addresses comes from outside, by [`Geography`]. That nothing is known of an address and that nobody
//! could be asked are two answers: the former is like any other place, the latter leaves a decision open.

use std::cell::OnceCell;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::str;

/// What a database tells of an address.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum PlaceKind {
    /// The country.
    Country,
    /// The number of the autonomous system.
    AutonomousSystem,
}

/// The answer about one address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Located<T> {
    /// It is there.
    Known(T),
    /// Nobody knows, or the address is in no such place, as private ones are.
    Unknown,
    /// There is nothing that could be asked, or it is damaged.
    Unavailable,
}

/// Tells where addresses are.
pub trait Geography {
    /// The country of an address.
    fn country(&self, address: IpAddr) -> Located<CountryCode>;
    /// The number of the autonomous system that announces an address.
    fn autonomous_system(&self, address: IpAddr) -> Located<u32>;
}

/// Knows no place, as without databases.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoGeography;

impl Geography for NoGeography {
    fn country(&self, _: IpAddr) -> Located<CountryCode> {
        Located::Unavailable
    }

    fn autonomous_system(&self, _: IpAddr) -> Located<u32> {
        Located::Unavailable
    }
}

/// A country by its two letters (ISO 3166-1 alpha-2), in upper case.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    /// Two letters as a database has them, assigned or not. None for any other text.
    pub fn of(text: &str) -> Option<Self> {
        let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_alphabetic).then(|| Self(letters.map(|letter| letter.to_ascii_uppercase())))
    }

    /// A code that is assigned to a country. A mistyped one would match nobody, which opens what `deny` should close.
    pub(crate) fn assigned(text: &str) -> Option<Self> {
        Self::of(text).filter(|code| ASSIGNED.split(' ').any(|assigned| assigned == code.letters()))
    }

    fn letters(&self) -> &str {
        // They are letters of ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Display for CountryCode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.letters())
    }
}

/// What it is called in sentences.
impl Display for PlaceKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Country => "country",
            Self::AutonomousSystem => "AS number",
        })
    }
}

/// Where one client is. Each question is asked once at most, and only when somebody wants to know.
pub struct ClientPlace<'g> {
    address: IpAddr,
    geography: &'g dyn Geography,
    country: OnceCell<Located<CountryCode>>,
    autonomous_system: OnceCell<Located<u32>>,
}

impl<'g> ClientPlace<'g> {
    /// The place of an address. Nothing is looked up yet.
    pub fn new(address: IpAddr, geography: &'g dyn Geography) -> Self {
        // An IPv4 address in IPv6 form is where the IPv4 address is.
        let address = address.to_canonical();
        Self { address, geography, country: OnceCell::new(), autonomous_system: OnceCell::new() }
    }

    /// The address, in its canonical form.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The country.
    pub fn country(&self) -> Located<CountryCode> {
        *self.country.get_or_init(|| self.geography.country(self.address))
    }

    /// The number of the autonomous system.
    pub fn autonomous_system(&self) -> Located<u32> {
        *self.autonomous_system.get_or_init(|| self.geography.autonomous_system(self.address))
    }
}

/// The codes that ISO 3166-1 assigns, and `XK`, which databases use for Kosovo.
const ASSIGNED: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA \
    CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA \
    GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP \
    KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS \
    MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS \
    RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW \
    TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_code_of_a_label_is_assigned_and_one_of_a_database_has_two_letters() {
        assert_eq!(ASSIGNED.split(' ').count(), 250);
        assert!(ASSIGNED.split(' ').all(|code| CountryCode::of(code).is_some_and(|parsed| parsed.to_string() == code)));
        for (text, is_assigned, has_two_letters) in [
            ("DE", true, true),
            ("de", true, true),
            ("XK", true, true),
            ("UK", false, true),
            ("EU", false, true),
            ("D", false, false),
            ("DEU", false, false),
            ("D1", false, false),
            ("\u{e4}", false, false),
            ("", false, false),
        ] {
            let is = (CountryCode::assigned(text).is_some(), CountryCode::of(text).is_some());
            assert_eq!(is, (is_assigned, has_two_letters), "{text}");
        }
    }

    #[test]
    fn a_place_is_asked_for_once_and_by_the_address_that_counts() {
        #[derive(Default)]
        struct Counting(Cell<u32>);
        impl Geography for Counting {
            fn country(&self, address: IpAddr) -> Located<CountryCode> {
                assert!(address.is_ipv4());
                self.0.set(self.0.get() + 1);
                Located::Unknown
            }
            fn autonomous_system(&self, _: IpAddr) -> Located<u32> {
                self.0.set(self.0.get() + 10);
                Located::Known(64_496)
            }
        }
        let asked = Counting::default();
        let place = ClientPlace::new("::ffff:192.0.2.1".parse().expect("an address"), &asked);
        assert_eq!(asked.0.get(), 0);
        assert_eq!((place.country(), place.country()), (Located::Unknown, Located::Unknown));
        assert_eq!(asked.0.get(), 1);
        assert_eq!(place.autonomous_system(), place.autonomous_system());
        assert_eq!(asked.0.get(), 11);
    }
}
