use http::{HeaderValue, Method};
use std::time::Duration;
use tenfour_tokio::Origins;
use tower_http::cors::{AllowCredentials, AllowHeaders, AllowMethods, AllowOrigin, CorsLayer};

/// Which foreign web pages may connect, and whether with their cookies. Without it only pages of the server's own host may,
/// over long polling as over WebSocket.
///
/// ```
/// use tenfour::Cors;
///
/// let cors = Cors::origins(["https://chat.example"]).with_credentials();
/// # drop(cors);
/// ```
#[derive(Clone, Debug)]
pub struct Cors {
    pub(crate) origins: Origins,
    credentials: bool,
}

impl Cors {
    /// Any page.
    #[must_use]
    pub fn any() -> Self {
        Self { origins: Origins::Any, credentials: false }
    }

    /// Pages of these origins, each as a browser writes it: scheme, host, and the port where it is not the scheme's own.
    #[must_use]
    pub fn origins<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> Self {
        Self { origins: Origins::Listed(origins.into_iter().map(Into::into).collect()), credentials: false }
    }

    /// Lets the pages send cookies and other credentials.
    #[must_use]
    pub fn with_credentials(mut self) -> Self {
        self.credentials = true;
        self
    }

    pub(crate) fn layer(&self) -> CorsLayer {
        let origin = match &self.origins {
            Origins::Any if !self.credentials => AllowOrigin::any(),
            origins => {
                let origins = origins.clone();
                AllowOrigin::predicate(move |origin: &HeaderValue, request| {
                    let host = Origins::host_of(request);
                    origin.to_str().is_ok_and(|origin| origins.allow(origin, host))
                })
            }
        };
        let credentials =
            if self.credentials { AllowCredentials::yes() } else { AllowCredentials::default() };
        CorsLayer::new()
            .allow_origin(origin)
            .allow_credentials(credentials)
            .allow_methods(AllowMethods::list([Method::GET, Method::POST]))
            .allow_headers(AllowHeaders::mirror_request())
            .max_age(Duration::from_secs(600))
    }
}
