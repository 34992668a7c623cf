use crate::world::play;

#[test]
fn no_history_of_a_slice_breaks_a_promise() {
    let (figures, verdicts) = crate::many(1, 40);
    println!("{figures}");
    let broken: Vec<_> = verdicts.into_iter().filter(|(_, verdict)| verdict.is_err()).collect();
    assert!(broken.is_empty(), "cargo run -p turmoil-tests -- --seed N: {broken:?}");
    for exercised in ["answers stored", "requests sent twice", "fault: process killed", "last request: 200"] {
        assert!(figures.0.get(exercised).is_some_and(|times| *times > 0), "{exercised} never happened");
    }
}

#[test]
fn a_history_comes_again_with_its_seed() {
    for seed in [2, 3, 5] {
        assert_eq!(play(seed, false), play(seed, false));
    }
}
