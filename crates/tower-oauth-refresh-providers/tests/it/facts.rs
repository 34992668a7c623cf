//! `providers.json`, read strictly.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// The whole file. A member that is not known here is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    pub(crate) as_of: String,
    /// The source that is none.
    pub(crate) unconfirmed: String,
    pub(crate) sources: BTreeMap<String, String>,
    pub(crate) providers: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Never changed: it names the logins in the store.
    pub(crate) issuer: Option<String>,
    pub(crate) token_endpoint: Option<Fact<String>>,
    pub(crate) revocation: Option<Fact<String>>,
    pub(crate) client_auth: Option<Fact<Vec<Auth>>>,
    pub(crate) rotation: Option<Fact<Rotation>>,
    pub(crate) grace: Option<Fact<Grace>>,
    pub(crate) access_token_seconds: Option<Fact<u32>>,
    pub(crate) refresh_ahead: Option<Fact<bool>>,
    pub(crate) answer: Option<Dialect>,
    pub(crate) parameters: Option<Fact<BTreeMap<String, String>>>,
    pub(crate) token_header: Option<Header>,
    pub(crate) challenge_statuses: Option<Fact<Vec<u16>>>,
    #[serde(default)]
    pub(crate) rules: Vec<Rule>,
    #[serde(default)]
    pub(crate) failures: Vec<Failure>,
    #[serde(default)]
    pub(crate) api_expired: Vec<ApiAnswer>,
    #[serde(default)]
    pub(crate) answers: Vec<TokenAnswer>,
    #[serde(default)]
    pub(crate) gaps: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Saas,
    Idp,
    Library,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fact<T> {
    pub(crate) value: T,
    pub(crate) source: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Auth {
    Basic,
    Post,
    None,
    Assertion,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rotation {
    Always,
    Never,
    Optional,
    Sometimes,
    NoRefreshToken,
}

/// A number of seconds or a word.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Grace {
    Seconds(u32),
    Word(GraceWord),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GraceWord {
    UntilUsed,
    UntilExpiry,
    Configurable,
    Undocumented,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) value: String,
    pub(crate) scheme: Option<String>,
    pub(crate) source: String,
}

/// How its token answers differ from RFC 6749 §5.1.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dialect {
    /// The provider's name of a member, and the RFC's.
    #[serde(default)]
    pub(crate) names: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) bearer_types: Vec<String>,
    #[serde(default)]
    pub(crate) milliseconds: bool,
    pub(crate) source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) class: Class,
    pub(crate) status: Option<u16>,
    pub(crate) when: BTreeMap<String, Condition>,
    pub(crate) source: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    Configuration,
    Dead,
    InDoubt,
    Transient,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    Is(String),
    Contains(String),
}

/// An answer of the token endpoint that is no token set, and the `ErrorKind` it should end in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    pub(crate) means: Meaning,
    /// `None`: the source does not say.
    pub(crate) status: Option<u16>,
    pub(crate) body: Value,
    pub(crate) source: String,
    pub(crate) expect: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Meaning {
    Dead,
    Transient,
    Other,
}

/// What an API says of an expired token: is the request healed, or is the answer passed on?
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiAnswer {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: Value,
    pub(crate) source: String,
    pub(crate) expect: Healing,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Healing {
    Healed,
    Passed,
}

/// A token set as this provider writes it, and what is read from it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenAnswer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Value,
    pub(crate) source: String,
    pub(crate) expect: Reading,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Reading {
    Set(ExpectedSet),
    Word(Unreadable),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedSet {
    pub(crate) expires_in: Option<u64>,
    #[serde(default)]
    pub(crate) refresh_token: bool,
    pub(crate) scope: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unreadable {
    Unusable,
}

impl Facts {
    pub(crate) fn read() -> Self {
        serde_json::from_str(include_str!("../../providers.json")).expect("providers.json is as it should be")
    }
}

impl Row {
    fn sources(&self) -> Vec<&str> {
        let facts = [
            self.token_endpoint.as_ref().map(|fact| &fact.source),
            self.revocation.as_ref().map(|fact| &fact.source),
            self.client_auth.as_ref().map(|fact| &fact.source),
            self.rotation.as_ref().map(|fact| &fact.source),
            self.grace.as_ref().map(|fact| &fact.source),
            self.access_token_seconds.as_ref().map(|fact| &fact.source),
            self.refresh_ahead.as_ref().map(|fact| &fact.source),
            self.answer.as_ref().map(|fact| &fact.source),
            self.parameters.as_ref().map(|fact| &fact.source),
            self.token_header.as_ref().map(|fact| &fact.source),
            self.challenge_statuses.as_ref().map(|fact| &fact.source),
        ];
        let samples = (self.failures.iter().map(|sample| &sample.source))
            .chain(self.api_expired.iter().map(|sample| &sample.source))
            .chain(self.answers.iter().map(|sample| &sample.source))
            .chain(self.rules.iter().map(|rule| &rule.source));
        facts.into_iter().flatten().chain(samples).map(String::as_str).collect()
    }
}

#[test]
fn every_fact_names_a_source_and_every_source_is_named() {
    let facts = Facts::read();
    let named: BTreeSet<&str> = facts.providers.iter().flat_map(Row::sources).collect();
    let listed: BTreeSet<&str> = facts.sources.keys().map(String::as_str).collect();
    assert_eq!(named, listed);
    assert!(listed.contains(facts.unconfirmed.as_str()));
}

#[test]
fn ids_are_unique_words() {
    let facts = Facts::read();
    let ids: BTreeSet<&str> = facts.providers.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids.len(), facts.providers.len());
    for id in ids {
        assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{id}");
    }
}

#[test]
fn token_endpoints_are_https_or_a_path_to_complete() {
    for row in &Facts::read().providers {
        for fact in [&row.token_endpoint, &row.revocation].into_iter().flatten() {
            let right = fact.value.starts_with("https://") || fact.value.starts_with('/');
            assert!(right, "{}: {}", row.id, fact.value);
        }
    }
}

#[test]
fn servers_with_one_address_for_everybody_have_a_name_in_the_store() {
    for row in &Facts::read().providers {
        let endpoint = row.token_endpoint.as_ref().map(|fact| fact.value.as_str());
        let fixed = endpoint.is_some_and(|url| url.starts_with("https://") && !url.contains('{'));
        assert_eq!(row.issuer.is_some(), fixed, "{}", row.id);
    }
}

/// The changelog counts them.
#[test]
fn the_changelog_counts_the_facts_and_those_without_a_source() {
    let facts = Facts::read();
    let all = facts.providers.iter().flat_map(Row::sources).count();
    let unconfirmed =
        facts.providers.iter().flat_map(Row::sources).filter(|source| *source == facts.unconfirmed).count();
    let said = format!("{all} facts, {} of them with a source", all - unconfirmed);
    let changelog = concat!(env!("CARGO_MANIFEST_DIR"), "/../../CHANGELOG.md");
    let changelog = std::fs::read_to_string(changelog).expect("beside the crates");
    assert!(changelog.contains(&said), "CHANGELOG.md does not say: {said}");
}

#[test]
fn a_rule_that_ends_a_login_is_confirmed_and_asks_for_something() {
    let facts = Facts::read();
    for row in &facts.providers {
        for rule in &row.rules {
            assert_ne!(rule.source, facts.unconfirmed, "{}", row.id);
            assert!(!rule.when.is_empty(), "{}", row.id);
        }
    }
}
