//! Asking: the client, who may see the token, and what an answer means.

use std::{fmt, time::Duration};

use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_RANGE, ETAG, HeaderValue, RETRY_AFTER},
};

use super::{DownloadError, PullOptions, Result, pace::retry_after_s};

/// What proves who asks. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token that a person gave; `None` if it is empty or could not stand in a request.
    pub fn new(token: &str) -> Option<Self> {
        let token = token.trim();
        (!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(token.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Why an answer is of no use.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// Asking again may help, after so many seconds if it says so.
    Passing { reason: String, wait_s: Option<u64> },
    /// Asking there again would not.
    Lasting(DownloadError),
    /// The file is not what it was.
    Changed(String),
    /// It sends whole files only.
    NoRanges,
    /// Something that is no matter of the network.
    Own(DownloadError),
}

impl Fault {
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), wait_s: None }
    }
}

impl From<DownloadError> for Fault {
    fn from(error: DownloadError) -> Self {
        Self::Own(error)
    }
}

/// Asks, with the token where it belongs.
pub(super) struct Network {
    follows: Client,
    stays: Client,
    token: Option<(String, HeaderValue)>,
    stall: Duration,
}

impl Network {
    pub(super) fn new(options: &PullOptions) -> Result<Self> {
        let base = Url::parse(&options.base_url)
            .map_err(|error| DownloadError::BadSource { what: options.base_url.clone(), reason: error.to_string() })?;
        let stall = options.pace.span(options.pace.stall_s);
        let network = |error: &dyn fmt::Display| DownloadError::Network { reason: error.to_string() };
        // Another part of the program may have chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = |follow: reqwest::redirect::Policy| {
            let builder = Client::builder()
                .user_agent(concat!("hearth/", env!("CARGO_PKG_VERSION")))
                .redirect(follow)
                .connect_timeout(stall)
                .referer(false);
            // A proxy is no help on the way to this machine.
            let builder = if is_loopback(&base) { builder.no_proxy() } else { builder };
            builder.build().map_err(|error| network(&error))
        };
        let token = options.token.as_ref().and_then(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.0)).ok()?;
            value.set_sensitive(true);
            Some((origin(&base), value))
        });
        let (follows, stays) =
            (client(reqwest::redirect::Policy::limited(10))?, client(reqwest::redirect::Policy::none())?);
        Ok(Self { follows, stays, token, stall })
    }

    /// A request that follows to wherever the file lies. On the way to another host the token stays behind.
    pub(super) fn get(&self, url: &Url) -> RequestBuilder {
        self.with_token(self.follows.get(url.clone()), url)
    }

    /// A request that is answered by this host alone.
    pub(super) fn get_here(&self, url: &Url) -> RequestBuilder {
        self.with_token(self.stays.get(url.clone()), url)
    }

    fn with_token(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
        // Compressed bytes would have other hashes and lengths.
        let request = request.header(reqwest::header::ACCEPT_ENCODING, "identity");
        match &self.token {
            Some((own, token)) if *own == origin(url) => request.header(AUTHORIZATION, token.clone()),
            _ => request,
        }
    }

    /// Sends a request and waits for the answer's head.
    pub(super) async fn send(&self, request: RequestBuilder) -> std::result::Result<Response, Fault> {
        match tokio::time::timeout(self.stall, request.send()).await {
            Err(_) => Err(Fault::passing("no answer came in time")),
            Ok(Err(error)) => Err(Fault::passing(words(&error))),
            Ok(Ok(response)) if response.headers().contains_key(reqwest::header::CONTENT_ENCODING) => {
                Err(Fault::passing("the answer is compressed, though that was not asked for"))
            }
            Ok(Ok(response)) => Ok(response),
        }
    }

    /// The next piece of an answer's body; `None` at its end.
    pub(super) async fn piece(&self, response: &mut Response) -> std::result::Result<Option<Vec<u8>>, Fault> {
        match tokio::time::timeout(self.stall, response.chunk()).await {
            Err(_) => Err(Fault::passing("nothing more came in time")),
            Ok(Err(error)) => Err(Fault::passing(words(&error))),
            Ok(Ok(piece)) => Ok(piece.map(|piece| piece.to_vec())),
        }
    }
}

/// What is wrong with an answer by its status alone.
pub(super) fn refusal(response: &Response) -> Option<Fault> {
    let status = response.status();
    if status.is_success() {
        return None;
    }
    let url = shown(response.url());
    let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Some(match status {
        StatusCode::UNAUTHORIZED => Fault::Lasting(DownloadError::Unauthorized { url }),
        StatusCode::FORBIDDEN => Fault::Lasting(DownloadError::Forbidden { url }),
        StatusCode::NOT_FOUND | StatusCode::GONE => Fault::Lasting(DownloadError::NotFound { url }),
        StatusCode::RANGE_NOT_SATISFIABLE => Fault::passing("the range is refused (status 416)"),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => passing(status, header(RETRY_AFTER)),
        status if status.is_server_error() => passing(status, header(RETRY_AFTER)),
        status => Fault::Lasting(DownloadError::Refused { url, status: status.as_u16() }),
    })
}

fn passing(status: StatusCode, retry_after: Option<&str>) -> Fault {
    let now_s = jiff::Timestamp::now().as_second();
    let wait_s = retry_after.and_then(|value| retry_after_s(value, now_s));
    Fault::Passing { reason: format!("the answer has status {}", status.as_u16()), wait_s }
}

/// What `Content-Range` says, as far as it says it.
pub(super) struct ContentRange {
    /// The first and the last byte.
    pub bytes: Option<(u64, u64)>,
    /// The whole file's length.
    pub total: Option<u64>,
}

/// `Content-Range` of an answer (RFC 9110, section 14.4).
pub(super) fn content_range(response: &Response) -> Option<ContentRange> {
    let value = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = value.strip_prefix("bytes")?.trim().split_once('/')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    if range == "*" {
        return Some(ContentRange { bytes: None, total });
    }
    let (first, last) = range.split_once('-')?;
    Some(ContentRange { bytes: Some((first.parse().ok()?, last.parse().ok()?)), total })
}

/// The entity tag of an answer, if it is a strong one.
pub(super) fn strong_tag(response: &Response) -> Option<String> {
    let tag = response.headers().get(ETAG)?.to_str().ok()?;
    tag.starts_with('"').then(|| tag.to_owned())
}

/// The address without what may be secret in it.
pub(super) fn shown(url: &Url) -> String {
    format!("{}{}", origin(url), url.path())
}

/// Scheme, host and port.
pub(super) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What went wrong, down to its cause, without the address, which may hold a signature.
fn words(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if std::ptr::addr_eq(cause, error) { "the connection failed".to_owned() } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed_and_not_taken_if_it_breaks_the_request() {
        let token = Token::new(" hf_secret\n").unwrap();
        assert!(!format!("{token:?}").contains("secret"));
        let options = PullOptions { token: Some(token), ..PullOptions::default() };
        assert!(!format!("{options:?}").contains("secret"));
        assert!(["", " ", "a b", "a\nb", "é"].iter().all(|text| Token::new(text).is_none()));
    }

    #[test]
    fn what_is_shown_of_an_address_has_no_secrets() {
        let url = Url::parse("https://me:pw@cdn.example:8443/a/b?X-Amz-Signature=secret#x").unwrap();
        assert_eq!(shown(&url), "https://cdn.example:8443/a/b");
        for (url, local) in
            [("http://127.0.0.1:1/", true), ("http://[::1]/", true), ("http://127.0.0.1.example/", false)]
        {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), local, "{url}");
        }
    }
}
