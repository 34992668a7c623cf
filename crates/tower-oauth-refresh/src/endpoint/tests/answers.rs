//! Answers as real servers give them, each spoiled at every byte that nobody needs.

use super::*;
use crate::clock::SystemClock;
use crate::endpoint::classify::Verdict;

/// An answer of `testdata/answers.txt`.
struct Sample {
    name: String,
    status: StatusCode,
    content_type: &'static str,
    body: &'static [u8],
}

/// What an answer comes to for the login.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Tokens {
        access_token: String,
        token_type: String,
        refresh_token: Option<String>,
    },
    /// No access token.
    Kept {
        refresh_token: String,
    },
    Dead(String),
    Other,
}

/// Members that decide. Of the others nothing may depend on what is in them.
const NEEDED: [&str; 4] = ["access_token", "refresh_token", "token_type", "error"];

/// Instead of one byte. With the brackets, nobody can tell what is meant.
const SPOILS: [&[u8]; 22] = [
    b"\xff",
    b"\xfc",
    b"\\ud83d",
    b"\\udc00\\ud83d",
    b"\0",
    b"\x01",
    b"\t",
    b"\n",
    b"\"",
    b"\\",
    b"1e400",
    b"-",
    b"\xef\xbb\xbf",
    b"\\x",
    b"<br />",
    b"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
];

fn rounds() -> u64 {
    std::env::var("VERIFY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// The same numbers every time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let at = self.below(all.len());
        all.get(at).copied()
    }
}

impl Outcome {
    /// Nothing, or part of what was expected: no other token, and no success that drops a refresh token.
    fn is_no_worse_than_silence(&self, expected: &Self) -> bool {
        match (self, expected) {
            (Self::Kept { refresh_token }, Self::Tokens { refresh_token: Some(sent), .. }) => {
                refresh_token == sent
            }
            (outcome, expected) => outcome == expected || *outcome == Self::Other,
        }
    }
}

/// Of Slack.
const DIALECT: AnswerDialect = AnswerDialect::new().bearer_types(&["bot"]);

fn samples() -> Vec<Sample> {
    let text = include_str!("../testdata/answers.txt");
    let samples = text.split("### ").skip(1).map(|sample| {
        let (name, sample) = sample.split_once('\n').unwrap();
        let (head, body) = sample.split_once('\n').unwrap();
        let (status, content_type) = head.split_once(' ').unwrap();
        let (status, body) = (status.parse().unwrap(), body.trim_end().as_bytes());
        Sample { name: name.to_owned(), status, content_type, body }
    });
    samples.collect()
}

impl Sample {
    fn outcome(&self, body: &[u8]) -> Outcome {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, self.content_type.parse().unwrap());
        let now = SystemClock.now().wall;
        let text = |token: RefreshToken| token.expose_secret().to_owned();
        match classify(self.status, &headers, body, now, DIALECT, &[]) {
            Verdict::Success(set) => Outcome::Tokens {
                access_token: set.access_token.expose_secret().to_owned(),
                token_type: set.token_type,
                refresh_token: set.refresh_token.map(text),
            },
            Verdict::UnusableSuccess { refresh_token: Some(token) } => {
                Outcome::Kept { refresh_token: text(token) }
            }
            Verdict::GrantDead { code } => Outcome::Dead(code.unwrap().as_str().to_owned()),
            _ => Outcome::Other,
        }
    }

    fn is_form(&self) -> bool {
        self.content_type.starts_with("application/x-www-form-urlencoded")
    }

    /// Each member, from its name to its value, and where it begins.
    fn members(&self) -> Vec<(&'static str, usize, usize)> {
        let text = std::str::from_utf8(self.body).unwrap();
        let (mut depth, mut quoted, mut escaped, mut start) = (0, false, false, 0);
        let mut members = Vec::new();
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            let separates = match (self.is_form(), byte) {
                (true, b'&') => true,
                (false, b',') => !quoted && depth == 1,
                (false, b'{') => !quoted && depth == 1,
                _ => false,
            };
            if separates {
                members.push((start, at));
                start = at + 1;
            }
        }
        members.push((start, if self.is_form() { text.len() } else { text.rfind('}').unwrap() }));
        let named = members.into_iter().filter_map(|(start, end)| {
            let member = text.get(start..end)?;
            let start = start + member.len() - member.trim_start().len();
            let member = member.trim();
            let name = member.split(['=', ':']).next()?.trim().trim_matches('"');
            (!name.is_empty()).then_some((name, start, start + member.len()))
        });
        named.collect()
    }

    /// The bytes of members that nobody needs.
    fn unneeded(&self) -> impl Iterator<Item = usize> {
        let members = self.members();
        members.into_iter().filter(|(name, ..)| !NEEDED.contains(name)).flat_map(|(_, start, end)| start..end)
    }

    /// Behind the last member that is needed.
    fn needed_end(&self) -> usize {
        let members = self.members();
        members.iter().filter(|(name, ..)| NEEDED.contains(name)).map(|(.., end)| *end).max().unwrap()
    }

    /// Is the byte a bracket of the syntax, without which nobody knows where an object ends? Or does a member get the
    /// name of one that is needed?
    fn may_lose_itself(&self, at: usize, body: &[u8]) -> bool {
        let bracket = matches!(self.body[at], b'{' | b'}' | b'[' | b']');
        let renamed = |name: &&str| {
            let quoted = format!("\"{name}\"");
            let count = |body: &[u8]| String::from_utf8_lossy(body).matches(&quoted).count();
            count(body) > count(self.body)
        };
        bracket || NEEDED.iter().any(renamed)
    }

    fn spoiled(&self, at: usize, with: &[u8]) -> Vec<u8> {
        [&self.body[..at], with, &self.body[at + 1..]].concat()
    }
}

#[test]
fn every_sample_is_what_its_name_says() {
    let samples = samples();
    assert!(samples.len() > 50, "{}", samples.len());
    for sample in samples {
        let outcome = sample.outcome(sample.body);
        let holds = std::str::from_utf8(sample.body).unwrap().contains("refresh_token");
        match &outcome {
            Outcome::Tokens { refresh_token, .. } if sample.name.contains(": tokens") => {
                assert_eq!(refresh_token.is_some(), !sample.name.contains("stays"), "{}", sample.name);
                assert!(holds || refresh_token.is_none());
            }
            Outcome::Dead(_) if sample.name.contains(": dead") => {}
            _ => panic!("{}: {outcome:?}", sample.name),
        }
        for (_, start, end) in sample.members() {
            assert!(start < end && end <= sample.body.len(), "{}", sample.name);
        }
    }
}

#[test]
fn a_spoiled_byte_that_nobody_needs_changes_nothing() {
    let mut spoiled = 0;
    for sample in samples() {
        let expected = sample.outcome(sample.body);
        for at in sample.unneeded() {
            for with in SPOILS {
                spoiled += 1;
                let body = sample.spoiled(at, with);
                let shown = || format!("{}: {}", sample.name, String::from_utf8_lossy(&body));
                let outcome = sample.outcome(&body);
                // One without a refresh token may have lost it by the damage.
                let had_one = !matches!(expected, Outcome::Tokens { refresh_token: None, .. });
                if sample.may_lose_itself(at, &body) || !had_one {
                    assert!(outcome.is_no_worse_than_silence(&expected), "{outcome:?} {}", shown());
                } else {
                    assert_eq!(outcome, expected, "{}", shown());
                }
            }
        }
    }
    eprintln!("answers: {spoiled} spoiled answers");
    assert!(spoiled > 100_000, "{spoiled}");
}

/// With several bytes spoiled, of whatever member, nobody can say what must come out, but much that must not.
#[test]
fn no_damage_makes_another_token_of_the_one_that_was_sent() {
    let mut drawn = Draw(1);
    for _ in 0..rounds() {
        for sample in samples() {
            let expected = sample.outcome(sample.body);
            let unneeded: Vec<_> = sample.unneeded().collect();
            for _ in 0..200 {
                let mut body = sample.body.to_vec();
                let places = drawn.below(4) + 1;
                let mut places: Vec<_> = (0..places).filter_map(|_| drawn.of(&unneeded)).collect();
                // From the last to the first: those before it stay where they are.
                places.sort_unstable();
                places.dedup();
                for at in places.into_iter().rev() {
                    body.splice(at..=at, drawn.of(&SPOILS).unwrap().iter().copied());
                }
                let outcome = sample.outcome(&body);
                let shown = || format!("{}: {}", sample.name, String::from_utf8_lossy(&body));
                assert!(outcome.is_no_worse_than_silence(&expected), "{outcome:?} {}", shown());
            }
        }
    }
}

#[test]
fn whatever_stands_in_a_member_that_nobody_needs_changes_nothing() {
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let deeper = format!("{}1{}", r#"{"a":"#.repeat(5000), "}".repeat(5000));
    let (long, digits) = (format!("\"{}\"", "x".repeat(70_000)), "9".repeat(100_000));
    let values: [&[u8]; 14] = [
        deep.as_bytes(),
        deeper.as_bytes(),
        long.as_bytes(),
        digits.as_bytes(),
        b"1e400",
        b"-",
        b"\"J\\ud83d\"",
        b"\"ung\xfcltig\"",
        b"\"a\tb\r\n\"",
        b"\"say \"hello\" to \\\"them\\\"\"",
        b"{\"refresh_token\":\"another\",\"access_token\":\"another\",\"error\":\"server_error\"}",
        b"[{\"refresh_token\":\"another\xff\"},\"\\\"refresh_token\\\":\\\"another\\\"\"]",
        b"\"\\\",\\\"refresh_token\\\":\\\"another\\\"\"",
        b"NaN",
    ];
    for sample in samples().iter().filter(|sample| !sample.is_form()) {
        let expected = sample.outcome(sample.body);
        for value in values {
            let start = sample.body.iter().position(|byte| *byte == b'{').unwrap() + 1;
            let end = sample.body.iter().rposition(|byte| *byte == b'}').unwrap();
            let first = [&sample.body[..start], b"\"x\":", value, b",", &sample.body[start..]].concat();
            let last = [&sample.body[..end], b",\"x\":", value, b"}"].concat();
            for body in [first, last] {
                let shown = String::from_utf8_lossy(value.get(..60).unwrap_or(value)).into_owned();
                assert_eq!(sample.outcome(&body), expected, "{} {shown}", sample.name);
            }
        }
    }
}

#[test]
fn what_stands_around_an_answer_changes_nothing() {
    let tails: [&[u8]; 11] = [
        b"<!-- notice -->",
        b"\0\0\0",
        b"}",
        b"\r\n\r\n",
        b"\xff",
        b"]]>",
        b",",
        b"{\"ok\":true}",
        b"\n{\"status\":500,\"error\":\"invalid_grant\",\"refresh_token\":\"another\"}",
        b"[1,{\"status\":500,\"error\":\"invalid_grant\"}]",
        b"<script>x={\"a\":1,\"error\":\"invalid_grant\",\"access_token\":\"another\"}</script>",
    ];
    for sample in samples().iter().filter(|sample| !sample.is_form()) {
        let expected = sample.outcome(sample.body);
        for tail in tails {
            assert_eq!(sample.outcome(&[sample.body, tail].concat()), expected, "{} {tail:?}", sample.name);
        }
        let heads: [&[u8]; 4] = [
            b"\xef\xbb\xbf \n",
            b"<br />\n<b>Deprecated</b>: Implicit conversion in <b>/srv/token.php</b> on line <b>7</b><br />\n",
            b"\nNotice: ini_set(): {main} in /srv/token.php on line 7\n",
            b")]}',\n",
        ];
        for head in heads {
            assert_eq!(sample.outcome(&[head, sample.body].concat()), expected, "{} {head:?}", sample.name);
        }
    }
}

#[test]
fn an_answer_cut_off_behind_what_is_needed_counts_in_full() {
    for sample in samples().iter().filter(|sample| !sample.is_form()) {
        let expected = sample.outcome(sample.body);
        let end = sample.needed_end();
        for cut in 0..sample.body.len() {
            let outcome = sample.outcome(&sample.body[..cut]);
            assert!(outcome.is_no_worse_than_silence(&expected), "{} {cut} {outcome:?}", sample.name);
            // A new refresh token may still have come.
            let settled = !matches!(expected, Outcome::Tokens { refresh_token: None, .. });
            if cut >= end && settled {
                assert_eq!(outcome, expected, "{} {cut}", sample.name);
            }
        }
    }
}
