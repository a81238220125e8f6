//! The chat page: a few files, built into the binary, without a word from anywhere else.

use axum::{
    Router,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
    routing::get,
};

/// Serves the page at `/`, and beside it what it loads.
pub(crate) fn router() -> Router {
    FILES.into_iter().fold(Router::new(), |router, file| {
        router.route(file.path, get(async move || (file.headers(), file.body)))
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
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

const FILES: [File; 6] = [
    File { path: "/", content_type: HTML, body: include_str!("../web/index.html") },
    File { path: "/app.js", content_type: JAVASCRIPT, body: include_str!("../web/app.js") },
    File { path: "/client.js", content_type: JAVASCRIPT, body: include_str!("../web/client.js") },
    File { path: "/timeline.js", content_type: JAVASCRIPT, body: include_str!("../web/timeline.js") },
    File { path: "/style.css", content_type: CSS, body: include_str!("../web/style.css") },
    File { path: "/icon.svg", content_type: SVG, body: include_str!("../web/icon.svg") },
];

/// Nothing but this server's own files runs or loads, and no text becomes markup or script.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      object-src 'none'; require-trusted-types-for 'script'";

impl File {
    fn headers(self) -> [(HeaderName, &'static str); 5] {
        [
            (CONTENT_TYPE, self.content_type),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            // The files change with the binary: a page must not mix those of two releases.
            (CACHE_CONTROL, "no-cache"),
        ]
    }
}
