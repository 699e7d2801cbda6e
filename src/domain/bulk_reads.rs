//! Whether one scan of everything in an account takes the place of single reads.
//!
//! A scan has to cost less than half of the single reads that it replaces, in calls and in bytes. What it costs is known
//! from the last one. Before the first one it is not known, so that a page is asked for that costs no more than that, and
//! what it shows decides.

use std::time::Duration;

/// What was seen of an account counts for so long: it may have shrunk since.
const REMEMBERED: Duration = Duration::from_hours(24);
/// Bytes that a call costs beside what it tells: its headers, which hold signature and session token, and the answer's.
pub const CALL: u64 = 2_048;

/// What is scanned.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Listing {
    /// All roles of an account, with everything that hangs on them.
    Roles,
    /// All functions of an account in a region.
    Functions,
}

impl Listing {
    /// The most that is asked for at a time. IAM would give a thousand roles; a page is held whole while it is read.
    #[must_use]
    pub const fn page(self) -> u64 {
        match self {
            Self::Roles => 300,
            Self::Functions => 50,
        }
    }

    /// Bytes of one, while none was seen.
    const fn usual(self) -> u64 {
        match self {
            Self::Roles => 2_048,
            Self::Functions => 1_536,
        }
    }
}

/// What `AwsAccount.spec.reads` says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// In bulk where that is cheaper.
    #[default]
    Auto,
    /// One at a time.
    Single,
}

/// What objects want to know of an account.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Claims {
    /// Roles, or functions of a region.
    pub things: u64,
    /// Calls that read all of them singly.
    pub calls: u64,
}

/// What a scan showed, and what it cost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Pages.
    pub pages: u64,
    /// Things on them.
    pub things: u64,
    /// Bytes of these answers.
    pub bytes: u64,
    /// Things among them that are claimed.
    pub claimed: u64,
    /// Bytes of these.
    pub claimed_bytes: u64,
    /// Whether it came to its end: there is no more, or all that is claimed was shown.
    pub ended: bool,
}

/// What is known of an account.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Known {
    /// The last scan, and what was claimed then.
    pub last: Option<(Seen, Claims)>,
    /// How long ago that scan was begun, or one that failed.
    pub begun: Option<Duration>,
    /// AWS refused one for want of a right since the account was looked at.
    pub denied: bool,
}

/// What to do for the next single read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    /// Scan, in pages of so many things.
    Scan {
        /// How many to ask for.
        page: u64,
    },
    /// Read singly.
    Single(Why),
}

/// Why something is read singly.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// `reads: Single`.
    Requested,
    /// AWS refused.
    Denied,
    /// A scan does not cost less than half.
    NotCheaper,
    /// One was begun lately.
    Spaced,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Cost {
    calls: u64,
    bytes: u64,
}

impl Cost {
    /// Less than half of the other, in both.
    fn pays_for(self, other: Self) -> bool {
        self.calls.saturating_mul(2) < other.calls && self.bytes.saturating_mul(2) < other.bytes
    }
}

impl Claims {
    /// What single reads cost. They tell as much of a thing as a scan does.
    fn singly(self, listing: Listing, seen: Option<&Seen>) -> Cost {
        let known = seen.filter(|seen| seen.claimed > 0);
        let each = known.map_or_else(|| listing.usual(), |seen| seen.claimed_bytes / seen.claimed);
        let bytes = self.calls.saturating_mul(CALL).saturating_add(self.things.saturating_mul(each));
        Cost { calls: self.calls, bytes }
    }

    /// How many things may be on a page that costs less than half of the single reads.
    fn affordable(self, listing: Listing) -> u64 {
        let half = self.singly(listing, None).bytes / 2;
        (half.saturating_sub(CALL) / listing.usual()).clamp(1, listing.page())
    }
}

impl Seen {
    fn cost(&self) -> Cost {
        Cost { calls: self.pages, bytes: self.bytes.saturating_add(self.pages.saturating_mul(CALL)) }
    }

    /// What it costs to see all that is claimed, by how much of it was on the pages so far; none where nothing was.
    fn projected(&self, claims: Claims) -> Option<Cost> {
        if self.ended {
            return Some(self.cost());
        }
        // At least one page more.
        let scaled = |part: u64| Some(part.saturating_mul(claims.things).checked_div(self.claimed)?.max(part));
        let pages = scaled(self.pages)?.max(self.pages.saturating_add(1));
        let bytes = scaled(self.bytes)?.saturating_add(pages.saturating_mul(CALL));
        Some(Cost { calls: pages, bytes })
    }

    /// Whether a scan that showed this pays for what it replaces.
    fn pays(&self, listing: Listing, claims: Claims) -> bool {
        self.projected(claims).is_some_and(|cost| cost.pays_for(claims.singly(listing, Some(self))))
    }

    /// Whether the next page is worth its price.
    #[must_use]
    pub fn goes_on(&self, listing: Listing, claims: Claims) -> bool {
        !self.ended && self.pays(listing, claims)
    }
}

/// Whether to scan before the next single read, where scans are so far apart.
#[must_use]
pub fn choose(mode: Mode, listing: Listing, known: &Known, claims: Claims, spacing: Duration) -> Choice {
    if let Err(why) = may_pay(mode, listing, known, claims) {
        return Choice::Single(why);
    }
    if known.begun.is_some_and(|begun| begun < spacing) {
        return Choice::Single(Why::Spaced);
    }
    let page = if is_fresh(known) { listing.page() } else { claims.affordable(listing) };
    Choice::Scan { page }
}

/// What reading this account comes to, once that is known.
///
/// # Errors
/// Why it is read singly.
#[must_use]
pub fn verdict(mode: Mode, listing: Listing, known: &Known, claims: Claims) -> Option<Result<(), Why>> {
    let judged = may_pay(mode, listing, known, claims);
    let measured = known.last.is_some() || matches!(judged, Err(Why::Requested | Why::Denied));
    measured.then_some(judged)
}

/// Whether the last scan still counts, and was not broken off.
fn is_fresh(known: &Known) -> bool {
    known.last.is_some_and(|(seen, _)| seen.ended) && known.begun.is_some_and(|begun| begun < REMEMBERED)
}

fn may_pay(mode: Mode, listing: Listing, known: &Known, claims: Claims) -> Result<(), Why> {
    if mode == Mode::Single {
        return Err(Why::Requested);
    }
    if known.denied {
        return Err(Why::Denied);
    }
    let one_page = Cost { calls: 1, bytes: CALL };
    let pays = match &known.last {
        _ if !one_page.pays_for(claims.singly(listing, None)) => false,
        Some((seen, _)) if is_fresh(known) => seen.pays(listing, claims),
        // A scan that was broken off is tried again when much more is claimed, or when a day is over.
        Some((_, then)) if known.begun.is_some_and(|begun| begun < REMEMBERED) => {
            claims.things >= then.things.saturating_mul(2)
        }
        _ => true,
    };
    if pays { Ok(()) } else { Err(Why::NotCheaper) }
}

#[cfg(test)]
mod tests;
