//! Where Strapi is, and the bounds of what is asked of it.

use std::fmt;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use signalbox_protocol::Tenant;
use thiserror::Error;

/// Strapi as the store of one tenant. Its collections know no tenants, so the passengers of others stay
/// with the claims alone.
#[derive(Clone)]
pub struct StrapiSettings {
    /// Whose passengers it holds.
    pub tenant: Tenant,
    /// `http://host:port`, nothing behind it.
    pub url: String,
    /// The API token, if Strapi wants one.
    pub token: Option<String>,
    /// Records of one answer; Strapi itself gives 100 at most unless it is configured otherwise.
    pub page_size: usize,
    /// Most records that one query reads before it gives up.
    pub records_max: usize,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer, connecting included.
    pub request_timeout: Duration,
    /// Most bytes of an answer.
    pub answer_bytes_max: usize,
    /// Requests that one push or the outbox has under way at a time.
    pub parallel: usize,
    /// Longest time for a whole push.
    pub push_timeout: Duration,
    /// The first wait before a change is tried again; each further one is twice as long.
    pub retry_first: Duration,
    /// The longest such wait.
    pub retry_longest: Duration,
    /// A change that Strapi goes on failing with an error of its own (not: that it can't be reached, or has too
    /// much to do) is given up after this.
    pub give_up_after: Duration,
    /// Most changes that wait for Strapi; beyond, boardings and pushes are refused.
    pub outbox_max: u64,
}

impl StrapiSettings {
    /// The defaults for a Strapi at `url`.
    pub fn new(tenant: Tenant, url: &str) -> Self {
        Self {
            tenant,
            url: url.to_owned(),
            token: None,
            page_size: 100,
            records_max: 20_000,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(5),
            answer_bytes_max: 4 * 1024 * 1024,
            parallel: 16,
            push_timeout: Duration::from_secs(60),
            retry_first: Duration::from_millis(200),
            retry_longest: Duration::from_secs(10),
            give_up_after: Duration::from_secs(600),
            outbox_max: 10_000,
        }
    }

    /// Checks all of it.
    ///
    /// # Errors
    /// [`InvalidSettings`].
    pub fn check(&self) -> Result<(), InvalidSettings> {
        self.origin().and(self.authorization()).map(|_| ())?;
        let numbers = [
            ("page_size", self.page_size),
            ("records_max", self.records_max),
            ("answer_bytes_max", self.answer_bytes_max),
            ("parallel", self.parallel),
        ];
        match numbers.into_iter().find(|(_, number)| *number == 0) {
            Some((name, _)) => Err(InvalidSettings::Zero(name)),
            None => Ok(()),
        }
    }

    /// `http://host:port`, checked.
    pub(super) fn origin(&self) -> Result<String, InvalidSettings> {
        let uri: Uri = self.url.parse().map_err(|_| InvalidSettings::Url)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(InvalidSettings::Https),
            _ => return Err(InvalidSettings::Url),
        }
        let authority = uri.authority().ok_or(InvalidSettings::Url)?.as_str();
        if authority.contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(InvalidSettings::Url);
        }
        Ok(format!("http://{authority}"))
    }

    /// The header that carries the token.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, InvalidSettings> {
        let Some(token) = &self.token else { return Ok(None) };
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| InvalidSettings::Token)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl fmt::Debug for StrapiSettings {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrapiSettings")
            .field("tenant", &self.tenant)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Settings that can't be used.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum InvalidSettings {
    /// The URL is not `http://host:port`.
    #[error("the URL of strapi is http://host:port, without a path, a query or a password")]
    Url,
    /// TLS is not spoken here.
    #[error("https to strapi is not supported: put a TLS proxy beside the node, and name it by http://")]
    Https,
    /// The token holds characters that a header can't.
    #[error("the token of strapi holds characters that no header can")]
    Token,
    /// A number that must not be 0 is.
    #[error("strapi.{0} must be above 0")]
    Zero(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> StrapiSettings {
        StrapiSettings::new(Tenant::try_new("acme").unwrap(), url)
    }

    #[test]
    fn only_http_to_a_host_will_do() {
        for url in ["http://127.0.0.1:1337", "http://strapi:1337/", "http://[::1]:1337", "http://strapi"] {
            assert_eq!(settings(url).check(), Ok(()), "{url}");
        }
        assert_eq!(settings("https://strapi:1337").check(), Err(InvalidSettings::Https));
        for url in [
            "",
            "strapi:1337",
            "ftp://strapi",
            "http://",
            "http://a/api",
            "http://a?x=1",
            "http://u:p@a",
            "/",
        ] {
            assert_eq!(settings(url).check(), Err(InvalidSettings::Url), "{url}");
        }
    }

    #[test]
    fn the_token_stays_out_of_what_is_printed() {
        let mut settings = settings("http://strapi");
        settings.token = Some("s3cret".to_owned());
        let header = settings.authorization().unwrap().unwrap();
        assert_eq!(header.as_bytes(), b"Bearer s3cret");
        assert!(!format!("{settings:?} {header:?}").contains("s3cret"));
        settings.token = Some("line\nbreak".to_owned());
        assert_eq!(settings.check(), Err(InvalidSettings::Token));
        settings.token = None;
        settings.page_size = 0;
        assert_eq!(settings.check(), Err(InvalidSettings::Zero("page_size")));
    }
}
