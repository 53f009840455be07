//! The status page: one document, with its style and its script in it.
//!
//! It asks nobody but this server, for `/events`. The content security policy names the
//! digests of the two, so that nothing else runs even if somebody got it into the page.

use anyhow::Result;
use axum::body::Bytes;
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = concat!(
    include_str!("page/colours.css"),
    include_str!("page/page.css")
);
/// In the order of who uses whom.
const SCRIPT: &str = concat!(
    "\"use strict\";\n",
    include_str!("page/words.js"),
    include_str!("page/chart.js"),
    include_str!("page/rates.js"),
    include_str!("page/policy.js"),
    include_str!("page/state.js"),
    include_str!("page/flows.js"),
    include_str!("page/ports.js"),
    include_str!("page/live.js"),
);

/// Where in the document they go.
const STYLE_PLACE: &str = "/* style */";
const SCRIPT_PLACE: &str = "/* script */";

/// The page as it is served.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) document: Bytes,
    /// Its `Content-Security-Policy`.
    pub(super) policy: HeaderValue,
}

impl Page {
    /// # Errors
    /// None: digests always fit a header.
    pub(super) fn new() -> Result<Self> {
        let document = DOCUMENT
            .replacen(STYLE_PLACE, STYLE, 1)
            .replacen(SCRIPT_PLACE, SCRIPT, 1);
        // The icon is in the document, too.
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            source(SCRIPT),
            source(STYLE)
        );
        Ok(Self {
            document: document.into(),
            policy: policy.try_into()?,
        })
    }
}

/// The one script or style that is meant (Content Security Policy Level 3, 2.3.1).
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_whole_and_asks_nobody_else() {
        let page = Page::new().unwrap();
        let text = std::str::from_utf8(&page.document).unwrap();
        for place in [STYLE_PLACE, SCRIPT_PLACE] {
            assert_eq!(DOCUMENT.matches(place).count(), 1);
            assert!(!text.contains(place));
        }
        // A namespace of SVG is a name, and no place.
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http:") && !elsewhere.contains("https:"));
        for unsafe_word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
        ] {
            assert!(!SCRIPT.contains(unsafe_word), "{unsafe_word}");
        }
        for inline in [" style=", " onclick=", "javascript:"] {
            assert!(!text.contains(inline), "{inline}");
        }
        // The end of either would end the element.
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
    }
}
