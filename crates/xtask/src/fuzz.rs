//! `cargo xtask fuzz`: random input for everything that reads what others wrote.
//!
//! The inputs are drawn by the property tests beside each parser. A run of the tests draws a few hundred;
//! this draws a million, in an optimised build. A failure is reduced to a small input, printed, and kept in
//! `proptest-regressions/`, which is to be committed with the repair.

use std::process::{Command, Output, Stdio};

use crate::step::{Outcome, Stop, cargo, run as step, show};

const CASES: u64 = 1_000_000;
/// Seconds in the build that the tests have made already.
const SLICE: u64 = 20_000;

/// One crate's tests.
struct Package {
    name: &'static str,
    targets: &'static [Target],
}

/// One kind of input, and the property tests that draw it.
struct Target {
    what: &'static str,
    tests: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    Package {
        name: "tower-oauth-refresh",
        targets: &[
            Target {
                what: "WWW-Authenticate",
                tests: &[
                    "challenge::tests::no_field_makes_the_parser_panic",
                    "challenge::tests::whatever_is_read_can_be_written_and_read_again",
                ],
            },
            Target {
                what: "token answer, its body",
                tests: &[
                    "endpoint::response::tests::no_body_makes_the_parser_panic",
                    "endpoint::response::tests::a_valid_object_is_read_as_serde_reads_it",
                    "endpoint::response::tests::a_refresh_token_comes_out_as_it_went_in",
                ],
            },
            Target {
                what: "token answer, what it means",
                tests: &[
                    "endpoint::classify::tests::no_answer_makes_it_panic_and_every_success_can_be_sent",
                    "endpoint::classify::tests::a_refresh_token_in_a_success_is_never_lost",
                ],
            },
            Target {
                what: "expires_in",
                tests: &[
                    "endpoint::response::tests::any_lifetime_is_unknown_or_between_a_second_and_a_year",
                    "endpoint::response::tests::a_lifetime_is_read_alike_in_every_form",
                ],
            },
            Target {
                what: "Retry-After",
                tests: &[
                    "endpoint::classify::retry_after::tests::no_field_makes_it_panic_or_wait_for_more_than_an_hour",
                    "endpoint::classify::retry_after::tests::what_the_server_wishes_is_what_is_read",
                ],
            },
            Target {
                what: "origin",
                tests: &[
                    "origin::tests::no_text_makes_it_panic_and_an_origin_keeps_its_promises",
                    "origin::tests::a_uri_that_matches_has_the_same_host",
                ],
            },
            Target {
                what: "record",
                tests: &[
                    "store::record::tests::no_bytes_panic",
                    "store::record::tests::any_record_survives_its_bytes",
                    "store::record::tests::a_damaged_byte_is_unreadable_or_a_record_that_survives_its_bytes",
                ],
            },
            Target {
                what: "sealed record",
                tests: &[
                    "store::sealed::tests::arbitrary_bytes_are_unreadable_and_never_a_panic",
                    "store::sealed::tests::any_record_of_any_credential_is_read_back",
                ],
            },
            Target {
                what: "replayed body",
                tests: &[
                    "replay::tests::splits::a_replay_is_the_very_body_or_refused_with_the_first_copy_unharmed",
                ],
            },
        ],
    },
    Package {
        name: "tower-oauth-refresh-file",
        targets: &[Target {
            what: "credentials file",
            tests: &[
                "store::tests::arbitrary_bytes_in_the_file_are_unreadable_and_never_a_panic",
                "store::tests::any_records_are_read_back_beside_one_another",
                "store::tests::a_flipped_bit_in_the_file_is_never_a_panic",
            ],
        }],
    },
    Package {
        name: "tower-oauth-refresh-binding",
        targets: &[
            Target {
                what: "what an API needs",
                tests: &["needs::tests::no_field_makes_it_panic_and_what_comes_out_is_fit_for_a_request"],
            },
            Target {
                what: "server metadata",
                tests: &["discovery::tests::no_document_makes_it_panic_and_what_is_taken_keeps_its_promises"],
            },
            Target {
                what: "private JWK",
                tests: &["key::private_jwk::tests::no_text_makes_it_panic_and_a_key_that_is_taken_signs"],
            },
        ],
    },
];

/// `--cases N`, for each test; a million unless given.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let cases = match arguments {
        [] => CASES,
        ["--cases", cases] => {
            cases.parse().map_err(|_| Stop::Because(format!("{cases} is no number of cases")))?
        }
        _ => return Err(Stop::Because("usage: cargo xtask fuzz [--cases N]".to_owned())),
    };
    fuzz(cases, &["--profile", "fuzz"])
}

/// What every change is held against.
pub(crate) fn slice() -> Outcome {
    fuzz(SLICE, &[])
}

fn fuzz(cases: u64, profile: &[&str]) -> Outcome {
    let mut drawn = 0;
    for package in PACKAGES {
        let library = ["--package", package.name, "--lib"];
        step(cargo(["test", "--no-run"]).args(profile).args(library))?;
        for target in package.targets {
            let mut command = cargo(["test", "--quiet"]);
            command.args(profile).args(library).args(["--", "--exact"]).args(target.tests);
            run_target(command.env("PROPTEST_CASES", cases.to_string()), target)?;
            // A property test passes only after as many cases as it was told.
            let passed = cases * target.tests.len() as u64;
            eprintln!("fuzz: {}: {passed} cases in {} tests", target.what, target.tests.len());
            drawn += passed;
        }
    }
    eprintln!("fuzz: {drawn} cases in all, none failed");
    Ok(())
}

/// A test that was renamed is not run and not missed, so they are counted.
fn run_target(command: &mut Command, target: &Target) -> Outcome {
    let shown = show(command);
    let unable = |error| Stop::Because(format!("cannot run `{shown}`: {error}"));
    let Output { status, stdout, .. } = command.stderr(Stdio::inherit()).output().map_err(unable)?;
    let said = String::from_utf8_lossy(&stdout);
    if status.success() && said.contains(&format!("test result: ok. {} passed", target.tests.len())) {
        return Ok(());
    }
    eprint!("{said}");
    Err(Stop::Because(format!("fuzz: {} failed, or not all of its tests are there: {shown}", target.what)))
}
