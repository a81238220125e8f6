//! The chat page and what it loads: a few files, built into the binary, without a word from anywhere else.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    Router,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};

/// Serves the page at `/`, and beside it what it loads.
pub(crate) fn router() -> Router {
    FILES.into_iter().fold(Router::new(), |router, file| {
        let tag = file.tag();
        router.route(file.path, get(async move |asked: HeaderMap| file.answer(&tag, &asked)))
    })
}

#[derive(Clone, Copy)]
struct File {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const TYPESCRIPT: &str = "application/typescript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

// `tenfour.js` and its types are links into `clients/js`, so that this package has them too when it is packed.
const FILES: [File; 8] = [
    File { path: "/", content_type: HTML, body: include_str!("../web/index.html") },
    File { path: "/app.js", content_type: JAVASCRIPT, body: include_str!("../web/app.js") },
    File { path: "/client.js", content_type: JAVASCRIPT, body: include_str!("../web/client.js") },
    File { path: "/tenfour.js", content_type: JAVASCRIPT, body: include_str!("../web/tenfour.js") },
    File { path: "/tenfour.d.ts", content_type: TYPESCRIPT, body: include_str!("../web/tenfour.d.ts") },
    File { path: "/timeline.js", content_type: JAVASCRIPT, body: include_str!("../web/timeline.js") },
    File { path: "/style.css", content_type: CSS, body: include_str!("../web/style.css") },
    File { path: "/icon.svg", content_type: SVG, body: include_str!("../web/icon.svg") },
];

/// Nothing but this server's own files runs or loads, and no text becomes markup or script.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      object-src 'none'; require-trusted-types-for 'script'";

impl File {
    /// The file, unless whoever asks has it.
    fn answer(self, tag: &HeaderValue, asked: &HeaderMap) -> Response {
        if asked.get_all(IF_NONE_MATCH).into_iter().any(|known| names(known, tag)) {
            return (StatusCode::NOT_MODIFIED, self.headers(tag)).into_response();
        }
        (self.headers(tag), self.body).into_response()
    }

    fn headers(self, tag: &HeaderValue) -> [(HeaderName, HeaderValue); 6] {
        [
            (CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            // The files change with the binary: a page must not mix those of two releases.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (ETAG, tag.clone()),
        ]
    }

    fn tag(self) -> HeaderValue {
        let mut hasher = DefaultHasher::new();
        self.body.hash(&mut hasher);
        HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish())).expect("printable")
    }
}

/// Whether `If-None-Match` (RFC 9110 §13.1.2) names this tag; a proxy that packs may have made it a weak one.
fn names(known: &HeaderValue, tag: &HeaderValue) -> bool {
    let Ok(known) = known.to_str() else { return false };
    known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/").as_bytes() == tag)
}
