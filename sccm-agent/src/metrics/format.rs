//! The two text formats of Prometheus, and which one a client wants.

use axum::http::HeaderValue;

/// A format that metrics can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text 0.0.4: what everybody reads.
    Text,
    /// OpenMetrics 1.0.0, for those who ask for it by name.
    OpenMetrics,
}

impl Format {
    /// The format that `Accept` headers (RFC 9110, section 12.5.1) prefer. Where
    /// they name neither, it is text: better than no metrics.
    pub fn accepted<'h>(headers: impl IntoIterator<Item = &'h HeaderValue>) -> Self {
        let (mut text, mut open_metrics) = (0, 0);
        let headers = headers
            .into_iter()
            .filter_map(|header| header.to_str().ok());
        for range in headers.flat_map(|header| header.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let (mut version, mut weight) = (None, 1000);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                if name.eq_ignore_ascii_case("version") {
                    version = Some(value);
                } else if name.eq_ignore_ascii_case("q") {
                    weight = thousandths(value);
                }
            }
            let is = |name: &str, own: &str| {
                kind.eq_ignore_ascii_case(name) && version.is_none_or(|one| one == own)
            };
            if is("application/openmetrics-text", "1.0.0") {
                open_metrics = open_metrics.max(weight);
            } else if is("text/plain", "0.0.4") || kind == "text/*" {
                text = text.max(weight);
            }
        }
        if open_metrics > 0 && open_metrics >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A weight of at most three digits behind the point; what is none counts nothing.
fn thousandths(weight: &str) -> u16 {
    match weight.parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0) as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_accepted(accept: &str, expected: Format) {
        let header = HeaderValue::from_str(accept).unwrap();
        assert_eq!(Format::accepted([&header]), expected, "{accept}");
    }

    #[test]
    fn open_metrics_is_for_those_who_prefer_it() {
        for accept in [
            // Prometheus 2 and 3.
            "application/openmetrics-text;version=1.0.0;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "Application/OpenMetrics-Text; charset=utf-8; version=1.0.0",
            "application/openmetrics-text, */*",
        ] {
            assert_accepted(accept, Format::OpenMetrics);
        }
    }

    #[test]
    fn everybody_else_gets_text() {
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain;version=0.0.4",
            "text/plain, application/openmetrics-text;q=0.5",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=7",
            "application/openmetrics-text;q=NaN",
            "application/json",
            ";;;,,,q=",
        ] {
            assert_accepted(accept, Format::Text);
        }
        assert_eq!(Format::accepted([]), Format::Text);
    }
}
