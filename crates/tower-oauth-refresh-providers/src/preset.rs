//! One provider, and what is done with what is known about it.

mod rule;

use http::{StatusCode, Uri};
use tower_oauth_refresh::{AnswerDialect, Builder, ClientAuth, ClientSecret, Origin, Provider, RefreshLayer};

pub use self::rule::Rule;
pub(crate) use self::rule::{Class, Condition};

/// Where a fact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// The page, file or thread that says so.
    pub title: &'static str,
    /// Does it say so, or is this what is commonly believed?
    pub confirmed: bool,
}

/// A fact and its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact<T> {
    /// What is so.
    pub value: T,
    /// Who says it.
    pub source: Source,
}

impl<T: Copy> Fact<T> {
    /// The value, if a source confirms it.
    #[must_use]
    pub fn confirmed(&self) -> Option<T> {
        self.source.confirmed.then_some(self.value)
    }
}

/// How a client may say who it is (RFC 6749 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAuthMethod {
    /// [`ClientAuth::basic`].
    Basic,
    /// [`ClientAuth::post`].
    Post,
    /// [`ClientAuth::none`]: a public client.
    None,
    /// [`ClientAuth::assertion`].
    Assertion,
}

/// Does a refresh hand out a new refresh token (RFC 9700 §4.14)?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// Each does.
    Always,
    /// None does: the old one goes on.
    Never,
    /// As the application or the server is set up.
    Optional,
    /// Some do.
    Sometimes,
    /// There are no refresh tokens.
    NoRefreshToken,
}

/// How long a rotated refresh token is good for a second try, after an answer that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grace {
    /// Not at all: a lost answer is a lost login.
    Nothing,
    /// For so many seconds.
    Seconds(u32),
    /// Until the new tokens are used, within limits.
    UntilUsed,
    /// As long as it would have been anyway.
    UntilExpiry,
    /// As the server is set up.
    Configurable,
    /// The provider does not say.
    Undocumented,
}

/// The header field an API wants the access token in, where that is not RFC 6750 §2.1.
///
/// The layer always writes `Authorization: Bearer`; a `map_request` below it can move the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenHeader {
    /// The field.
    pub name: &'static str,
    /// The word before the token; `None`: the token stands alone.
    pub scheme: Option<&'static str>,
}

/// What is known about one provider. `None` and empty: nothing is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Preset {
    /// A short name, as in `providers.json`.
    pub id: &'static str,
    /// The provider's name.
    pub name: &'static str,
    /// The name of the authorization server in the store ([`Builder::issuer`]), where it has the same address for
    /// everybody. It stays when the endpoint moves.
    pub issuer: Option<&'static str>,
    /// The token endpoint. Braces stand for what differs by tenant; some servers have a path only.
    pub token_endpoint: Option<Fact<&'static str>>,
    /// The revocation endpoint (RFC 7009), written as the token endpoint is.
    pub revocation: Option<Fact<&'static str>>,
    /// How clients may authenticate.
    pub client_auth: Option<Fact<&'static [ClientAuthMethod]>>,
    /// Are refresh tokens rotated?
    pub rotation: Option<Fact<Rotation>>,
    /// May a rotated refresh token be sent again?
    pub grace: Option<Fact<Grace>>,
    /// The usual lifetime of an access token, in seconds. What the answer says counts more.
    pub access_token_seconds: Option<Fact<u32>>,
    /// Does the provider want tokens to be refreshed before they expire? `None`: it does not mind.
    pub refresh_ahead: Option<Fact<bool>>,
    /// How its token answers differ from RFC 6749 §5.1.
    pub answer: Option<Fact<AnswerDialect>>,
    /// Parameters that a refresh needs here beside those of RFC 6749 §6.
    pub parameters: Option<Fact<&'static [(&'static str, &'static str)]>>,
    /// Where its APIs want the access token.
    pub token_header: Option<Fact<TokenHeader>>,
    /// The statuses by which its APIs refuse a token, where that is not the 401 of RFC 6750 §3.1 alone.
    pub challenge_statuses: Option<Fact<&'static [u16]>>,
    /// Answers of the token endpoint that mean something else than they do elsewhere.
    pub rules: &'static [Rule],
    /// What this provider wants, and these crates do not do.
    pub gaps: &'static [&'static str],
}

/// A provider nothing is known about.
pub(crate) const BLANK: Preset = Preset {
    id: "",
    name: "",
    issuer: None,
    token_endpoint: None,
    revocation: None,
    client_auth: None,
    rotation: None,
    grace: None,
    access_token_seconds: None,
    refresh_ahead: None,
    answer: None,
    parameters: None,
    token_header: None,
    challenge_statuses: None,
    rules: &[],
    gaps: &[],
};

impl Preset {
    /// The client authentication this provider wants, if a source confirms that it is one with a secret.
    /// Where it takes several, the first in the table.
    pub fn client_auth(&self, id: impl Into<String>, secret: impl Into<ClientSecret>) -> Option<ClientAuth> {
        match self.client_auth?.confirmed()?.first()? {
            ClientAuthMethod::Basic => Some(ClientAuth::basic(id, secret)),
            ClientAuthMethod::Post => Some(ClientAuth::post(id, secret)),
            ClientAuthMethod::None | ClientAuthMethod::Assertion => None,
        }
    }

    /// `layer`, taught how the APIs of this provider refuse an expired token. The same layer, where they do
    /// it as RFC 6750 §3.1 says.
    ///
    /// Only the head of an answer is looked at, never its body. So where an API says 403 for an expired
    /// token, each 403 may cost a refresh and a replay, though never more than one of either.
    pub fn challenges(&self, layer: RefreshLayer) -> RefreshLayer {
        let Some(statuses) = self.challenge_statuses.and_then(|fact| fact.confirmed()) else {
            return layer;
        };
        layer.classifier(move |answer, is_challenge| is_challenge || refuses(statuses, answer.status))
    }
}

impl Preset {
    /// The confirmed revocation endpoint of the server whose token endpoint this is. Of one with an address of its own,
    /// a sandbox or a server of somebody else's, it is where the token endpoint is, with another end: what that server
    /// issued is shown to no other.
    fn revocation_beside(&self, token_endpoint: &Uri) -> Option<Uri> {
        let revocation = self.revocation?.confirmed()?;
        let is_one_for_all = revocation.starts_with("https://") && !revocation.contains('{');
        if is_one_for_all && self.is_at(token_endpoint) != Some(false) {
            return revocation.parse().ok();
        }
        let template = self.token_endpoint?.value;
        let same = template.bytes().zip(revocation.bytes()).take_while(|(one, other)| one == other).count();
        let same = template.get(..same)?.rfind('/')? + 1;
        let (end, other_end) = (template.get(same..)?, revocation.get(same..)?);
        if end.contains('{') || other_end.contains('{') || token_endpoint.query().is_some() {
            return None;
        }
        let here = token_endpoint.to_string();
        format!("{}{other_end}", here.strip_suffix(end)?).parse().ok()
    }

    /// Only for the server that it names: logins of a sandbox, or of a server somewhere else, are others.
    fn issuer_of(&self, token_endpoint: &Uri) -> Option<&'static str> {
        self.issuer.filter(|_| self.is_at(token_endpoint) == Some(true))
    }

    /// Is this token endpoint at the server that it names? `None`: it names none, or one that differs by tenant.
    fn is_at(&self, token_endpoint: &Uri) -> Option<bool> {
        let known = Origin::of(&self.token_endpoint?.value.parse().ok()?).ok()?;
        Some(Origin::of(token_endpoint).is_ok_and(|origin| origin == known))
    }
}

fn refuses(statuses: &[u16], status: StatusCode) -> bool {
    statuses.contains(&status.as_u16())
}

impl Provider for Preset {
    fn configure(self, mut builder: Builder) -> Builder {
        if let Some(endpoint) = self.revocation_beside(builder.token_endpoint()) {
            builder = builder.revocation_endpoint(endpoint);
        }
        if let Some(issuer) = self.issuer_of(builder.token_endpoint()) {
            builder = builder.issuer(issuer);
        }
        if let Some(refresh_ahead) = self.refresh_ahead.and_then(|fact| fact.confirmed()) {
            builder = builder.refresh_ahead(refresh_ahead);
        }
        if let Some(dialect) = self.answer.and_then(|fact| fact.confirmed()) {
            builder = builder.answer_dialect(dialect);
        }
        for (name, value) in self.parameters.and_then(|fact| fact.confirmed()).unwrap_or_default() {
            builder = builder.parameter(*name, *value);
        }
        let rules = self.rules;
        if !rules.is_empty() {
            builder = builder.classifier(move |answer, class| rule::judge(rules, answer, class));
        }
        builder
    }
}
