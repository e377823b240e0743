//! The options of a client.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(15);
const ATTEMPTS: u32 = 4;

/// The options of a client: credentials, deadline, attempts. By default, there are no credentials.
#[derive(Clone)]
pub struct Options {
    pub(crate) token: Token,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) deadline: Duration,
    pub(crate) attempts: u32,
}

type Asked = Pin<Box<dyn Future<Output = Result<String, Box<dyn StdError + Send + Sync>>> + Send>>;

/// The source of tokens.
#[derive(Clone, Default)]
pub(crate) enum Token {
    #[default]
    None,
    Static(String),
    Asked(Arc<dyn Fn() -> Asked + Send + Sync>),
}

impl Default for Options {
    fn default() -> Options {
        Options { token: Token::None, ca: None, headers: Vec::new(), deadline: DEADLINE, attempts: ATTEMPTS }
    }
}

impl Options {
    /// Sends this token with each call.
    #[must_use]
    pub fn token(self, token: &str) -> Options {
        Options { token: Token::Static(token.to_owned()), ..self }
    }

    /// Gets the token from `ask` for each call, so that it can be renewed.
    #[must_use]
    pub fn token_from<F, E>(self, ask: impl Fn() -> F + Send + Sync + 'static) -> Options
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let ask = move || {
            let asked = ask();
            Box::pin(async move { asked.await.map_err(Into::into) }) as Asked
        };
        Options { token: Token::Asked(Arc::new(ask)), ..self }
    }

    /// Trusts the CA certificates of this PEM file instead of the system's.
    #[must_use]
    pub fn ca(self, file: impl Into<PathBuf>) -> Options {
        Options { ca: Some(file.into()), ..self }
    }

    /// Sends a header with each call. Against a server with auth off, `x-user` sets the caller and `x-roles` their roles.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Options {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How long a call may take with all its attempts; 15 seconds if not set.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Options {
        Options { deadline, ..self }
    }

    /// How often a call is made at most; 4 times if not set.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Options {
        Options { attempts, ..self }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens and headers are secrets.
        let Options { ca, deadline, attempts, .. } = self;
        let mut shown = f.debug_struct("Options");
        shown.field("ca", ca).field("deadline", deadline).field("attempts", attempts).finish_non_exhaustive()
    }
}
