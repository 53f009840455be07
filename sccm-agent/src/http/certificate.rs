//! When the server's certificate is valid: clients trust it neither before nor after.

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::CertificateDer;
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

/// So long before its end somebody is told, in seconds.
const SOON: i64 = 14 * 86_400;

/// The time in which every certificate of a chain is valid, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    begin: i64,
    end: i64,
}

impl Validity {
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Result<Self> {
        let mut validity = Self {
            begin: i64::MIN,
            end: i64::MAX,
        };
        for one in chain {
            let (_, one) = X509Certificate::from_der(one).context("holds no X.509 certificate")?;
            let (begin, end) = (one.validity.not_before, one.validity.not_after);
            validity.begin = validity.begin.max(begin.timestamp());
            validity.end = validity.end.min(end.timestamp());
        }
        Ok(validity)
    }

    pub(super) fn ensure_at(self, now: i64) -> Result<()> {
        ensure!(
            now <= self.end,
            "the certificate expired at {}: renew it",
            date(self.end)
        );
        ensure!(
            now >= self.begin,
            "the certificate is not valid before {}: look at this machine's clock, or take another",
            date(self.begin)
        );
        Ok(())
    }

    /// When it ends, in seconds since 1970.
    pub(super) const fn end(self) -> i64 {
        self.end
    }

    /// What somebody should know about its end.
    pub(super) fn warning(self, now: i64) -> Option<String> {
        let end = date(self.end);
        if now > self.end {
            return Some(format!(
                "the certificate expired at {end}: clients refuse it"
            ));
        }
        (now > self.end - SOON).then(|| format!("the certificate expires at {end}"))
    }
}

fn date(seconds: i64) -> String {
    match ASN1Time::from_timestamp(seconds) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{seconds} seconds since 1970"),
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    #[test]
    fn a_certificate_is_valid_from_its_begin_to_its_end() {
        let validity = Validity {
            begin: 100 * DAY,
            end: 200 * DAY,
        };
        let refusal = |now| validity.ensure_at(now).map_err(|error| error.to_string());
        assert_eq!(refusal(100 * DAY), Ok(()));
        assert_eq!(refusal(200 * DAY), Ok(()));
        let early = refusal(100 * DAY - 1).unwrap_err();
        assert!(
            early.contains("not valid before Apr 11 00:00:00 1970"),
            "{early}"
        );
        let late = refusal(200 * DAY + 1).unwrap_err();
        assert!(late.contains("expired at Jul 20 00:00:00 1970"), "{late}");
    }

    #[test]
    fn its_end_is_told_two_weeks_before() {
        let validity = Validity {
            begin: 0,
            end: 100 * DAY,
        };
        assert_eq!(validity.warning(86 * DAY), None);
        for (now, told) in [(86 * DAY + 1, "expires at"), (100 * DAY + 1, "expired at")] {
            let warning = validity.warning(now).unwrap();
            assert!(warning.contains(told), "{warning}");
        }
    }
}
