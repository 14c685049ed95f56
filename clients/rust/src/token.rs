//! The token that a client shows, and where a new one comes from.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::error::{ConnectError, TokenError};
use crate::wire::Bearer;

/// A token on its way.
pub(crate) type Renewal = Pin<Box<dyn Future<Output = Result<Bearer, ConnectError>> + Send>>;

type Coming = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

/// Where tokens come from.
#[derive(Clone)]
pub(crate) struct TokenProvider(Arc<dyn Fn() -> Coming + Send + Sync>);

impl TokenProvider {
    pub(crate) fn new<F, R>(provide: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(provide())))
    }
}

impl fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenProvider(..)")
    }
}

/// The token of now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Token {
    shown: Option<Bearer>,
    provider: Option<TokenProvider>,
}

impl Token {
    pub(crate) fn fixed(token: String) -> Self {
        Self { shown: Some(token.into()), provider: None }
    }

    pub(crate) fn provided(provider: TokenProvider) -> Self {
        Self { shown: None, provider: Some(provider) }
    }

    /// Forgets the token. Returns whether there will be another.
    pub(crate) fn renew(&mut self) -> bool {
        if self.provider.is_some() {
            self.shown = None;
        }
        self.provider.is_some()
    }

    /// Asks for another token than the one of now, if somebody provides them.
    pub(crate) fn another(&self, limit: Duration) -> Option<Renewal> {
        let TokenProvider(provide) = self.provider.clone()?;
        Some(Box::pin(async move {
            let provided = timeout(limit, provide()).await.map_err(|_| ConnectError::Timeout(limit))?;
            Ok(provided.map_err(ConnectError::NoToken)?.into())
        }))
    }

    /// From now on this one is shown.
    pub(crate) fn replace(&mut self, token: Bearer) {
        self.shown = Some(token);
    }

    /// The token to show, if any; asks for one if there is a provider and none at hand.
    pub(crate) async fn show(&mut self, limit: Duration) -> Result<Option<Bearer>, ConnectError> {
        if self.shown.is_none()
            && let Some(coming) = self.another(limit)
        {
            self.shown = Some(coming.await?);
        }
        Ok(self.shown.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_token_is_kept_until_it_is_refused() {
        let asked = AtomicU32::new(0);
        let mut token = Token::provided(TokenProvider::new(move || {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            async move { Ok(format!("token-{number}")) }
        }));
        for expected in ["token-0", "token-0"] {
            assert_eq!(token.show(LIMIT).await.unwrap(), Some(expected.into()));
        }
        assert!(token.renew());
        assert_eq!(token.show(LIMIT).await.unwrap(), Some("token-1".into()));
    }

    #[tokio::test]
    async fn without_a_provider_there_is_no_other_token() {
        let mut fixed = Token::fixed("t".to_owned());
        assert!(!fixed.renew());
        assert_eq!(fixed.show(LIMIT).await.unwrap(), Some("t".into()));
        assert_eq!(Token::default().show(LIMIT).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_fails_or_hangs_is_asked_again() {
        let mut failing = Token::provided(TokenProvider::new(|| async { Err("no".into()) }));
        assert!(matches!(failing.show(LIMIT).await, Err(ConnectError::NoToken(_))));
        let mut hanging = Token::provided(TokenProvider::new(std::future::pending));
        assert!(matches!(hanging.show(LIMIT).await, Err(ConnectError::Timeout(_))));
    }
}
