//! Who may ask, and what every answer says about itself.
//!
//! A page from anywhere can send requests to a server on the same machine, and by letting its own name point here
//! (DNS rebinding) it could read the answers too. So the server answers only under names that can mean no one else,
//! and only to pages that it served itself.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::CONTENT_SECURITY_POLICY;

/// By which names a server may be called, besides those that mean this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedNames {
    /// Host names or addresses, without a port.
    pub hosts: Vec<String>,
    /// Any address written as numbers, which no one can rebind: for a server that listens on all interfaces.
    pub any_address: bool,
    /// Pages from elsewhere that may ask, as `http://host:port`: for the development server of the interface.
    pub origins: Vec<String>,
}

impl AllowedNames {
    /// The names of a server that listens on `host`, as the person gave it.
    pub fn listening_on(host: &str) -> Self {
        let any_address = host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
        Self { hosts: vec![host.to_owned()], any_address, origins: Vec::new() }
    }

    fn allows_host(&self, authority: &Authority) -> bool {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) if self.any_address || address.is_loopback() => true,
            _ if host.eq_ignore_ascii_case("localhost") => true,
            _ => self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)),
        }
    }

    /// Whether a page of that origin may ask a server that was called by `authority`.
    fn allows_origin(&self, origin: &str, authority: &Authority) -> bool {
        let is_own = origin
            .parse::<Uri>()
            .is_ok_and(|uri| uri.authority().is_some_and(|own| own.as_str().eq_ignore_ascii_case(authority.as_str())));
        is_own || self.origins.iter().any(|allowed| allowed.trim_end_matches('/') == origin)
    }
}

/// Refuses what may not ask, and puts the policy on what is answered.
pub(super) async fn guard(State(allowed): State<Arc<AllowedNames>>, request: Request, next: Next) -> Response {
    let mut response = match check(&allowed, &request) {
        Ok(()) => next.run(request).await,
        Err(reason) => {
            tracing::warn!(reason, uri = %request.uri(), "refused a request");
            (StatusCode::FORBIDDEN, reason).into_response()
        }
    };
    describe(response.headers_mut());
    response
}

fn check(allowed: &AllowedNames, request: &Request) -> Result<(), &'static str> {
    // HTTP/2 has the name in the address, HTTP/1.1 in a header.
    let named = request.uri().authority().map(Authority::as_str);
    let named = named.or_else(|| text(request.headers(), &header::HOST)).ok_or("the request names no host")?;
    let authority: Authority = named.parse().map_err(|_| "the request's host is not one")?;
    if !allowed.allows_host(&authority) {
        return Err("this server answers only under the name of this machine; see `hearth serve --help`");
    }
    if !request.headers().contains_key(header::ORIGIN) {
        return Ok(());
    }
    let origin = text(request.headers(), &header::ORIGIN).ok_or("the request's origin is not one")?;
    if allowed.allows_origin(origin, &authority) {
        Ok(())
    } else {
        Err("this server answers only the pages that it serves itself; see `hearth serve --help`")
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn describe(headers: &mut HeaderMap) {
    let policy: [(HeaderName, &'static str); 6] = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in policy {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Files change with each build under the same name; asking whether they did is cheap on one machine.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(names: &AllowedNames, host: &str) -> bool {
        names.allows_host(&host.parse().unwrap())
    }

    #[test]
    fn only_this_machine_is_meant_by_default() {
        let names = AllowedNames::listening_on("127.0.0.1");
        for host in ["127.0.0.1:11500", "localhost:80", "LOCALHOST", "[::1]:11500", "127.0.0.9"] {
            assert!(allows(&names, host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.4", "0.0.0.0"] {
            assert!(!allows(&names, host), "{host}");
        }
    }

    #[test]
    fn a_chosen_name_is_allowed_and_addresses_on_all_interfaces() {
        assert!(allows(&AllowedNames::listening_on("den.local"), "den.local:11500"));
        let all = AllowedNames::listening_on("0.0.0.0");
        assert!(allows(&all, "192.168.1.4:11500"));
        assert!(!allows(&all, "evil.example:11500"));
    }

    #[test]
    fn only_own_pages_may_ask() {
        let names = AllowedNames { origins: vec!["http://127.0.0.1:1420".into()], ..AllowedNames::default() };
        let own: Authority = "127.0.0.1:11500".parse().unwrap();
        assert!(names.allows_origin("http://127.0.0.1:11500", &own));
        assert!(names.allows_origin("http://127.0.0.1:1420", &own));
        for origin in ["http://127.0.0.1:8000", "http://localhost:11500", "https://evil.example", "null", ""] {
            assert!(!names.allows_origin(origin, &own), "{origin}");
        }
    }
}
