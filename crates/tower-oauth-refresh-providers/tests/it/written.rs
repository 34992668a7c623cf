//! The table of constants and the page of the documentation, as they follow from the facts.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use crate::facts::{
    Auth, Class, Condition, Dialect, Fact, Facts, Grace, GraceWord, Header, Kind, Rotation, Row, Rule,
};

const WRITES: &str = "PROVIDERS_WRITE";

#[test]
fn the_table_of_constants_agrees_with_the_facts() {
    agrees("src/table.rs", &table(&Facts::read()));
}

#[test]
fn the_page_of_the_documentation_agrees_with_the_facts() {
    agrees("docs/providers.md", &page(&Facts::read()));
}

#[track_caller]
fn agrees(file: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    if env::var_os(WRITES).is_some() {
        fs::write(&path, expected).expect("can be written");
    }
    let found = fs::read_to_string(&path).expect("is there");
    assert!(found == expected, "{file} differs from providers.json: run `cargo xtask providers`");
}

fn table(facts: &Facts) -> String {
    let mut text = format!(
        "//! Written from `providers.json` by `cargo xtask providers`. Edit that file instead.\n\n\
         use tower_oauth_refresh::AnswerDialect;\n\nuse crate::preset::{{BLANK, Class, ClientAuthMethod, Condition, Fact, Grace, Preset, Rotation, Rule, Source, TokenHeader}};\n\n\
         /// The day as of which the facts hold.\npub const AS_OF: &str = {:?};\n\n\
         /// Every preset, in the order of the table.\npub static ALL: [Preset; {}] = [{}];\n",
        facts.as_of,
        facts.providers.len(),
        facts.providers.iter().map(|row| row.id.to_uppercase()).collect::<Vec<_>>().join(", "),
    );
    let mut constants = String::new();
    for row in &facts.providers {
        constant(&mut constants, row, &facts.unconfirmed);
    }
    for (key, title) in &facts.sources {
        let (name, confirmed) = (source(key), *key != facts.unconfirmed);
        // Some stand only beside samples, which the tests replay and nobody else needs.
        if constants.contains(&format!("source: {name} }}")) {
            writeln!(text, "const {name}: Source = Source {{ title: {title:?}, confirmed: {confirmed} }};")
                .expect("text");
        }
    }
    text + &constants
}

fn source(key: &str) -> String {
    format!("SOURCE_{}", key.to_uppercase())
}

/// What is written in the facts, and what follows from them.
fn gaps(row: &Row, unconfirmed: &str) -> Vec<String> {
    let revokes = row.revocation.as_ref().is_some_and(|fact| fact.source != unconfirmed);
    let has_logins = row.rotation.as_ref().is_none_or(|fact| fact.value != Rotation::NoRefreshToken);
    let cannot = (!revokes && has_logins).then(|| NO_REVOCATION.to_owned());
    row.gaps.iter().cloned().chain(cannot).collect()
}

const NO_REVOCATION: &str = "logout does not revoke: no confirmed endpoint of RFC 7009";

fn constant(text: &mut String, row: &Row, unconfirmed: &str) {
    let mut fields = vec![format!("id: {:?}, name: {:?}", row.id, row.name)];
    let mut add =
        |name: &str, value: Option<String>| fields.extend(value.map(|value| format!("{name}: {value}")));
    add("issuer", row.issuer.as_ref().map(|issuer| format!("Some({issuer:?})")));
    add("token_endpoint", fact(&row.token_endpoint, |url| format!("{url:?}")));
    add("revocation", fact(&row.revocation, |url| format!("{url:?}")));
    add(
        "client_auth",
        fact(&row.client_auth, |methods| {
            let methods: Vec<_> =
                methods.iter().map(|method| format!("ClientAuthMethod::{method:?}")).collect();
            format!("&[{}]", methods.join(", "))
        }),
    );
    add("rotation", fact(&row.rotation, |rotation| format!("Rotation::{rotation:?}")));
    add(
        "grace",
        fact(&row.grace, |grace| match grace {
            Grace::Seconds(0) => "Grace::Nothing".to_owned(),
            Grace::Seconds(seconds) => format!("Grace::Seconds({seconds})"),
            Grace::Word(word) => format!("Grace::{word:?}"),
        }),
    );
    add("access_token_seconds", fact(&row.access_token_seconds, u32::to_string));
    add("refresh_ahead", fact(&row.refresh_ahead, bool::to_string));
    add("answer", row.answer.as_ref().map(dialect_constant));
    add("parameters", fact(&row.parameters, |pairs| format!("&{:?}", pairs.iter().collect::<Vec<_>>())));
    add(
        "token_header",
        row.token_header.as_ref().map(|Header { value, scheme, source: key }| {
            format!(
                "Some(Fact {{ value: TokenHeader {{ name: {value:?}, scheme: {scheme:?} }}, source: {} }})",
                source(key)
            )
        }),
    );
    add("challenge_statuses", fact(&row.challenge_statuses, |statuses| format!("&{statuses:?}")));
    let rules: Vec<_> = row.rules.iter().map(|rule| format!("\n        {}", rule_constant(rule))).collect();
    add("rules", (!rules.is_empty()).then(|| format!("&[{},\n    ]", rules.join(","))));
    let gaps = gaps(row, unconfirmed);
    add("gaps", (!gaps.is_empty()).then(|| format!("&{gaps:?}")));
    writeln!(
        text,
        "/// {}.\npub const {}: Preset = Preset {{\n    {}, ..BLANK }};",
        row.name.trim_end_matches('.'),
        row.id.to_uppercase(),
        fields.join(", "),
    )
    .expect("text");
}

fn fact<T>(fact: &Option<Fact<T>>, shown: impl FnOnce(&T) -> String) -> Option<String> {
    let fact = fact.as_ref()?;
    Some(format!("Some(Fact {{ value: {}, source: {} }})", shown(&fact.value), source(&fact.source)))
}

fn dialect_constant(dialect: &Dialect) -> String {
    let Dialect { names, bearer_types, milliseconds, source: key } = dialect;
    let mut value = "AnswerDialect::new()".to_owned();
    if !names.is_empty() {
        write!(value, ".names(&{:?})", names.iter().collect::<Vec<_>>()).expect("text");
    }
    if !bearer_types.is_empty() {
        write!(value, ".bearer_types(&{bearer_types:?})").expect("text");
    }
    if *milliseconds {
        value.push_str(".lifetimes_in_milliseconds()");
    }
    format!("Some(Fact {{ value: {value}, source: {} }})", source(key))
}

fn rule_constant(rule: &Rule) -> String {
    let Rule { class, status, when, source: key } = rule;
    let when: Vec<_> =
        when.iter().map(|(path, condition)| format!("({path:?}, Condition::{condition:?})")).collect();
    format!(
        "Rule {{ class: Class::{class:?}, status: {status:?}, when: &[{}], source: {} }}",
        when.join(", "),
        source(key)
    )
}

/// The page: one line a provider, then what an answer means where it means something of its own, then sources.
fn page(facts: &Facts) -> String {
    let mut text = format!(
        "# Providers\n\n\
         Facts as of {}. *Italic: believed, not confirmed, and never applied.* An empty cell: nothing is known.\n\n\
         | provider | constant | token endpoint | client | rotation | good again after a lost answer | access token | revocation | rules | gaps |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        facts.as_of
    );
    for row in &facts.providers {
        let cells = [
            format!("{}{}", row.name, if row.kind == Kind::Saas { "" } else { " (server)" }),
            format!("`{}`", row.id.to_uppercase()),
            cell(facts, &row.token_endpoint, |url| format!("`{url}`")),
            cell(facts, &row.client_auth, |methods| {
                methods.iter().map(|m| auth_word(*m)).collect::<Vec<_>>().join(", ")
            }),
            cell(facts, &row.rotation, |rotation| rotation_words(*rotation).to_owned()),
            cell(facts, &row.grace, grace_words),
            cell(facts, &row.access_token_seconds, |seconds| duration(*seconds)),
            cell(facts, &row.revocation, |url| format!("`{url}`")),
            row.rules.len().to_string().replace('0', ""),
            gaps(row, &facts.unconfirmed).join("; "),
        ];
        writeln!(text, "| {} |", cells.join(" | ")).expect("text");
    }
    answers(&mut text, facts);
    members(&mut text, facts);
    text.push_str("\n## Sources\n\n");
    for (key, title) in &facts.sources {
        writeln!(text, "- {key}: {}", linked(title)).expect("text");
    }
    text
}

fn answers(text: &mut String, facts: &Facts) {
    text.push_str("\n## Answers with a meaning of their own\n\n| provider | answer | taken for | source |\n| --- | --- | --- | --- |\n");
    for row in &facts.providers {
        for rule in &row.rules {
            let when: Vec<_> =
                rule.when.iter().map(|(path, condition)| condition_words(path, condition)).collect();
            let status = rule.status.map_or_else(|| "any status".to_owned(), |status| status.to_string());
            writeln!(
                text,
                "| {} | {status}, {} | {} | {} |",
                row.name,
                when.join(" and "),
                class_words(rule.class),
                rule.source
            )
            .expect("text");
        }
    }
}

fn members(text: &mut String, facts: &Facts) {
    text.push_str(
        "\n## Token answers with names of their own\n\n| provider | says | source |\n| --- | --- | --- |\n",
    );
    for row in &facts.providers {
        if let Some(dialect) = &row.answer {
            let says = dialect_words(dialect).join("; ");
            writeln!(text, "| {} | {says} | {} |", row.name, dialect.source).expect("text");
        }
    }
    text.push_str(
        "\n## Parameters a refresh needs\n\n| provider | parameter | source |\n| --- | --- | --- |\n",
    );
    for row in &facts.providers {
        for (name, value) in row.parameters.iter().flat_map(|fact| &fact.value) {
            let key = row.parameters.as_ref().map_or("", |fact| &fact.source);
            writeln!(text, "| {} | `{name}={value}` | {key} |", row.name).expect("text");
        }
    }
}

fn cell<T>(facts: &Facts, fact: &Option<Fact<T>>, shown: impl FnOnce(&T) -> String) -> String {
    let Some(fact) = fact else { return String::new() };
    let shown = shown(&fact.value);
    if fact.source == facts.unconfirmed {
        format!("*{shown}*")
    } else {
        format!("{shown} [{}]", fact.source).replace('[', "\\[")
    }
}

fn auth_word(method: Auth) -> &'static str {
    match method {
        Auth::Basic => "basic",
        Auth::Post => "post",
        Auth::None => "public",
        Auth::Assertion => "assertion",
    }
}

fn rotation_words(rotation: Rotation) -> &'static str {
    match rotation {
        Rotation::Always => "always",
        Rotation::Never => "never",
        Rotation::Optional => "optional",
        Rotation::Sometimes => "sometimes",
        Rotation::NoRefreshToken => "no refresh token",
    }
}

fn grace_words(grace: &Grace) -> String {
    match grace {
        Grace::Seconds(0) => "no".to_owned(),
        Grace::Seconds(seconds) => duration(*seconds),
        Grace::Word(GraceWord::UntilUsed) => "until the new one is used".to_owned(),
        Grace::Word(GraceWord::UntilExpiry) => "until it expires".to_owned(),
        Grace::Word(GraceWord::Configurable) => "configurable".to_owned(),
        Grace::Word(GraceWord::Undocumented) => "undocumented".to_owned(),
    }
}

fn duration(seconds: u32) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

fn class_words(class: Class) -> &'static str {
    match class {
        Class::Configuration => "the client is set up wrongly",
        Class::Dead => "the refresh token is dead",
        Class::InDoubt => "try again, it may have been spent",
        Class::Transient => "try again later",
    }
}

fn condition_words(path: &str, condition: &Condition) -> String {
    match condition {
        Condition::Is(value) => format!("`{path}` is `{value}`"),
        Condition::Contains(part) => format!("`{path}` contains `{part}`"),
    }
}

fn dialect_words(dialect: &Dialect) -> Vec<String> {
    let names = dialect.names.iter().map(|(theirs, standard)| format!("`{theirs}` for `{standard}`"));
    let types = dialect.bearer_types.iter().map(|name| format!("`{name}` for a bearer token"));
    let unit = dialect.milliseconds.then(|| "lifetimes in milliseconds".to_owned());
    names.chain(types).chain(unit).collect()
}

/// An address of its own becomes a link; in everything else nothing means anything to Markdown.
fn linked(title: &str) -> String {
    let word = |word: &str| match word.strip_prefix("https://") {
        Some(_) => format!("<{word}>"),
        None => word.replace('*', "\\*").replace('_', "\\_").replace('[', "\\["),
    };
    title.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
