//! How many calls of a service may be sent in an account: a bucket of tokens that fills at a rate, which throttling lowers.
//! Times are counted from any beginning that does not change.

use std::{str::FromStr, time::Duration};

/// The lowest rate that throttling leads to, in calls a second.
const FLOOR: f64 = 1.0;
/// Throttled answers to calls that were in flight together are one reason to slow down, and not many.
const ONE_REASON: Duration = Duration::from_secs(1);
/// How much of the full rate comes back in a minute.
const RECOVERY: f64 = 0.1;

/// What may be sent of one service in one account.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Calls a second.
    pub rate: f64,
    /// How many at once after a quiet time.
    pub burst: f64,
}

/// A service and its rate, as an option says it: `iam=20/100`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// The service.
    pub service: &'static str,
    /// Its rate.
    pub rate: Rate,
}

/// The services that are called, and what is sent of each unless an option says otherwise.
pub const DEFAULTS: [Budget; 4] = [
    Budget { service: "iam", rate: Rate { rate: 20.0, burst: 100.0 } },
    Budget { service: "lambda", rate: Rate { rate: 10.0, burst: 50.0 } },
    Budget { service: "codepipeline", rate: Rate { rate: 10.0, burst: 100.0 } },
    Budget { service: "sts", rate: Rate { rate: 5.0, burst: 20.0 } },
];

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            let services = DEFAULTS.map(|known| known.service).join(", ");
            format!(
                "{text:?} is not SERVICE=RATE/BURST, for example iam=20/100: a service of {services}, 1 to 1000 calls a second, and \
                 1 to 10000 at once"
            )
        };
        let (service, rate) = text.split_once('=').ok_or_else(expected)?;
        let (rate, burst) = rate.split_once('/').ok_or_else(expected)?;
        let known = DEFAULTS.into_iter().find(|known| known.service == service).ok_or_else(expected)?;
        let within = |text: &str, most: u32| {
            let number = text.parse::<u32>().ok().filter(|number| (1..=most).contains(number));
            number.map(f64::from).ok_or_else(expected)
        };
        Ok(Self { service: known.service, rate: Rate { rate: within(rate, 1_000)?, burst: within(burst, 10_000)? } })
    }
}

/// The calls of one service in one account.
#[derive(Debug)]
pub struct Bucket {
    full: Rate,
    /// Calls a second for now.
    rate: f64,
    tokens: f64,
    at: Duration,
    slowed: Option<Duration>,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn new(full: Rate, now: Duration) -> Self {
        Self { full, rate: full.rate, tokens: full.burst, at: now, slowed: None }
    }

    /// Calls a second, for now.
    #[must_use]
    pub const fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether a call would have to wait.
    pub fn is_spent(&mut self, now: Duration) -> bool {
        self.refill(now);
        self.tokens < 1.0
    }

    fn refill(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.rate = (self.full.rate * RECOVERY / 60.0).mul_add(seconds, self.rate).min(self.full.rate);
        self.tokens = self.rate.mul_add(seconds, self.tokens).min(self.full.burst);
    }

    /// Takes leave for one call.
    ///
    /// # Errors
    /// How long there is none.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.refill(now);
        if self.tokens < 1.0 {
            // Not less than the timer can tell apart.
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate).max(Duration::from_millis(1)));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// A call was sent that nobody took leave for.
    pub fn charge(&mut self, now: Duration) {
        self.refill(now);
        self.tokens -= 1.0;
    }

    /// AWS says that it was sent too much.
    pub fn throttled(&mut self, now: Duration) {
        self.refill(now);
        self.tokens = self.tokens.min(0.0);
        let is_known = self.slowed.is_some_and(|slowed| now.saturating_sub(slowed) < ONE_REASON);
        if !is_known {
            self.rate = (self.rate / 2.0).max(FLOOR.min(self.full.rate));
            self.slowed = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bucket(rate: f64, burst: f64) -> Bucket {
        Bucket::new(Rate { rate, burst }, Duration::ZERO)
    }

    /// How many calls may be sent at this time.
    fn taken(bucket: &mut Bucket, now: Duration) -> usize {
        std::iter::repeat_with(|| bucket.take(now)).take_while(Result::is_ok).count()
    }

    /// Milliseconds until the next call.
    fn wait(bucket: &mut Bucket, now: Duration) -> Result<(), u128> {
        bucket.take(now).map_err(|wait| wait.as_millis())
    }

    #[test]
    fn a_burst_is_followed_by_the_rate() {
        for (rate, burst, after, sent) in [
            (20.0, 100.0, 0, 100),
            (20.0, 100.0, 1, 20),
            (20.0, 100.0, 4, 80),
            (20.0, 100.0, 1_000, 100),
            (1.0, 1.0, 30, 1),
            (5.0, 2.0, 1, 2),
        ] {
            let mut bucket = bucket(rate, burst);
            let at_first = taken(&mut bucket, Duration::ZERO);
            assert!((burst - f64::from(u32::try_from(at_first).unwrap())).abs() < 1e-9, "{at_first}");
            let later = if after == 0 { at_first } else { taken(&mut bucket, SECOND * after) };
            assert_eq!(later, sent, "{rate}/{burst} after {after} s");
        }
        let mut slow = bucket(20.0, 1.0);
        assert!(!slow.is_spent(SECOND));
        assert_eq!((wait(&mut slow, SECOND), wait(&mut slow, SECOND)), (Ok(()), Err(50)));
        assert!(slow.is_spent(SECOND));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = bucket(10.0, 1.0);
        assert_eq!(wait(&mut bucket, SECOND * 2), Ok(()));
        assert_eq!((wait(&mut bucket, SECOND), wait(&mut bucket, SECOND * 2)), (Err(100), Err(100)));
    }

    #[test]
    fn throttling_halves_the_rate_down_to_one_and_a_tenth_comes_back_a_minute() {
        // Seconds at which AWS throttles, and the rate at a later second.
        for (full, throttled, at, rate) in [
            (20.0, &[0][..], 0, 10.0),
            (20.0, &[0, 0, 0], 0, 10.0),
            (20.0, &[0, 1], 1, 5.0),
            (20.0, &[0], 60, 12.0),
            (20.0, &[0], 300, 20.0),
            (20.0, &[0], 3_000, 20.0),
            (20.0, &[0, 1, 2, 3, 4, 5, 6, 7], 7, 1.0),
            (20.0, &[0, 1, 2, 3, 4, 5, 6, 7], 67, 3.0),
            (1.0, &[0], 0, 1.0),
            (3.0, &[0, 1], 1, 1.0),
        ] {
            let mut bucket = bucket(full, 100.0);
            for second in throttled {
                bucket.throttled(SECOND * *second);
                assert_eq!(taken(&mut bucket, SECOND * *second), 0, "what was saved up is gone");
            }
            bucket.refill(SECOND * at);
            assert!((bucket.rate() - rate).abs() < 0.1, "{full} {throttled:?} {at}: {}", bucket.rate());
        }
    }

    #[test]
    fn what_nobody_took_leave_for_is_paid_later() {
        let mut bucket = bucket(10.0, 10.0);
        assert_eq!(taken(&mut bucket, Duration::ZERO), 10);
        bucket.charge(Duration::ZERO);
        assert_eq!(wait(&mut bucket, Duration::ZERO), Err(200));
    }

    #[test]
    fn an_option_is_a_service_a_rate_and_a_burst() {
        let iam: Budget = "iam=5/7".parse().unwrap();
        assert_eq!((iam.service, iam.rate), ("iam", Rate { rate: 5.0, burst: 7.0 }));
        for wrong in ["iam", "iam=5", "iam=0/5", "iam=5/0", "iam=x/5", "s3=5/5", "iam=2000/5", "iam=5/7/9", "=5/7"] {
            let error = wrong.parse::<Budget>().unwrap_err();
            assert!(error.contains("SERVICE=RATE/BURST, for example iam=20/100"), "{wrong}: {error}");
        }
    }
}
